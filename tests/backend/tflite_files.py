# SPDX-License-Identifier: Apache-2.0
"""Writes .tflite files for tests: FlatBuffers from front to back, children behind their parents."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

CODES = {"ADD": 0, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6,
         "MAX_POOL_2D": 17, "RESHAPE": 22, "PAD": 34, "MEAN": 40, "STRIDED_SLICE": 45, "DENSIFY": 124}  # fmt: skip
_TYPES = {"float32": 0, "float16": 1, "int32": 2}


class Scalar:
    """A number of a table, by ``struct``'s letter."""

    def __init__(self, code: str, value: float) -> None:
        self.data = struct.pack("<" + code, value)


Table = dict[int, Any]  # field → Scalar, Table, array of numbers, or list of Tables


def write(root: Table) -> bytes:
    """The file's bytes."""
    out = bytearray(b"\0\0\0\0TFL3")
    _refer(out, 0, _table(out, root))
    return bytes(out)


def _refer(out: bytearray, where: int, to: int) -> None:
    out[where : where + 4] = struct.pack("<I", to - where)


def _table(out: bytearray, fields: Table) -> int:
    count = max(fields, default=-1) + 1
    vtable = len(out)
    sizes = [4 + 8 * list(fields).index(i) if i in fields else 0 for i in range(count)]
    out += struct.pack(f"<HH{count}H", 4 + 2 * count, 4 + 8 * len(fields), *sizes)
    at = len(out)
    out += struct.pack("<i", at - vtable) + bytes(8 * len(fields))
    for place, value in enumerate(fields.values()):
        where = at + 4 + 8 * place
        if isinstance(value, Scalar):
            out[where : where + len(value.data)] = value.data
        elif isinstance(value, dict):
            _refer(out, where, _table(out, value))
        elif isinstance(value, list):
            _refer(out, where, start := len(out))
            out += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for i, row in enumerate(value):
                _refer(out, start + 4 + 4 * i, _table(out, row))
        else:
            _refer(out, where, len(out))
            array = np.asarray(value)
            out += struct.pack("<I", array.size) + array.tobytes()
    return at


class Builder:
    """A graph, tensor by tensor."""

    def __init__(self) -> None:
        self.tensors: list[Table] = []
        self.buffers: list[Table] = [{}]
        self.operators: list[Table] = []
        self.codes: list[Table] = []

    def tensor(self, *shape: int, dtype: str = "float32", sparsity: Table | None = None, buffer: int = 0) -> int:
        fields: Table = {0: np.array(shape, np.int32), 1: Scalar("b", _TYPES[dtype]), 2: Scalar("I", buffer)}
        self.tensors.append(fields if sparsity is None else fields | {6: sparsity})
        return len(self.tensors) - 1

    def constant(self, values: np.ndarray, shape: tuple[int, ...] | None = None, sparsity: Table | None = None) -> int:
        self.buffers.append({0: np.frombuffer(values.tobytes(), np.uint8)})
        where = len(self.buffers) - 1
        return self.tensor(*(shape or values.shape), dtype=values.dtype.name, sparsity=sparsity, buffer=where)

    def add(self, name: str, inputs: list[int], output: int, options: Table | None = None) -> int:
        number = CODES[name]
        self.codes.append({0: Scalar("b", min(number, 127)), 3: Scalar("i", number)})
        row: Table = {0: Scalar("I", len(self.codes) - 1), 1: np.array(inputs, np.int32)}
        row[2] = np.array([output], np.int32)
        self.operators.append(row if options is None else row | {4: options})
        return output

    def file(self, inputs: int, outputs: list[int]) -> bytes:
        graph: Table = {0: self.tensors, 1: np.array([inputs], np.int32), 2: np.array(outputs, np.int32)}
        graph[3] = self.operators
        return write({0: Scalar("I", 3), 1: self.codes, 2: [graph], 4: self.buffers})


def convolution(size: int, weights: np.ndarray, stride: int, *, same: bool, depthwise: bool = False) -> bytes:
    """One convolution of [1, size, size, C], with weights as in the file, a bias of 0.5 and a ReLU."""
    b = Builder()
    channels = weights.shape[3]
    filters = channels if depthwise else weights.shape[0]
    reach = weights.shape[1]
    out = -(-size // stride) if same else (size - reach) // stride + 1
    x, w = b.tensor(1, size, size, channels), b.constant(weights)
    bias = b.constant(np.full(filters, 0.5, np.float32))
    options: Table = {0: Scalar("b", 0 if same else 1), 1: Scalar("i", stride), 2: Scalar("i", stride)}
    options[4 if depthwise else 3] = Scalar("b", 1)
    y = b.add("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [x, w, bias], b.tensor(1, out, out, filters), options)
    return b.file(x, [y])
