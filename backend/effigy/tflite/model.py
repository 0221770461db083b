# SPDX-License-Identifier: Apache-2.0
"""Reads a .tflite file into tensors and operators. It must have one graph; fields are numbered as in TensorFlow's
schema.fbs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .flatbuffer import Table, TFLiteError
from .sparse import densify

_IDENTIFIER = b"TFL3"
_MOST = 5000  # tensors, operators or buffers of a network
_INPUTS = 64  # of an operator
_INTEGERS = 16  # of axes or widths that an operator takes
_RANK = 5  # of a tensor
_LARGEST = 1 << 24  # numbers of a tensor: 64 MiB
_EXPANSION = 4  # numbers for each byte of the file: sparse weights have 2 bytes for each that is not zero
_DTYPES: dict[int, Any] = {0: np.float32, 1: np.float16, 2: np.int32}
_CUSTOM = 32
_NAMES = {  # BuiltinOperator in schema.fbs
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 22: "RESHAPE", 23: "RESIZE_BILINEAR",
    34: "PAD", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 42: "DIV", 45: "STRIDED_SLICE", 54: "PRELU", 59: "NEG",
    74: "SUM", 75: "SQRT", 76: "RSQRT", 99: "SQUARED_DIFFERENCE", 117: "HARD_SWISH", 124: "DENSIFY",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operator:
    """One step of a graph. ``inputs`` are tensor numbers, −1 for an optional input that is absent."""

    name: str
    inputs: tuple[int, ...]
    output: int
    options: Table | None
    custom: bytes  # the options of an operator that is not TensorFlow's own


@dataclass(slots=True)
class Model:
    """A graph with one input. ``shapes`` are declared for one picture: the first axis of everything computed is 1."""

    shapes: list[tuple[int, ...]]
    input: int
    outputs: tuple[int, ...]
    operators: list[Operator]
    constants: dict[int, NDArray[Any]] = field(default_factory=dict)  # float32 or int32, by the tensor's number

    def integers(self, number: int) -> tuple[int, ...]:
        """Returns the values of tensor ``number`` if it is a constant of integers, otherwise ()."""
        values = self.constants.get(number)
        return () if values is None or values.dtype.kind != "i" else tuple(values.ravel()[:_INTEGERS].tolist())


def read_model(data: bytes) -> Model:
    """Reads the bytes of a .tflite file into its graph, with dense float32 weights. Raises TFLiteError.

    Allocations stay in proportion to the file's size.
    """
    root = Table.root(data, _IDENTIFIER)
    graphs = root.tables(2, _MOST)
    if len(graphs) != 1:
        raise TFLiteError(f"it has {len(graphs)} graphs, where one is read")
    graph, buffers = graphs[0], root.tables(4, _MOST)
    tensors = graph.tables(0, _MOST)
    names = [_name(code) for code in root.tables(1, _MOST)]
    inputs, outputs = (tuple(graph.array(f, np.int32, _INPUTS).tolist()) for f in (1, 2))
    if len(inputs) != 1 or not outputs:
        raise TFLiteError(f"it has {len(inputs)} inputs and {len(outputs)} outputs, where one input is read")
    model = Model([_shape(t) for t in tensors], inputs[0], outputs, [])
    for number in (*inputs, *outputs):
        _check_number(number, len(tensors))
    left = _EXPANSION * len(data)
    for number, (tensor, shape) in enumerate(zip(tensors, model.shapes, strict=True)):
        values = _stored(tensor, buffers, len(data))
        if values.size:
            left -= int(np.prod(shape, dtype=object))
            if left < 0:
                raise TFLiteError(f"its weights would take more than {4 * _EXPANSION} times the file's size")
            model.constants[number] = _dense(values, shape, tensor)
    for row in graph.tables(3, _MOST):
        _add(model, _operator(row, names, len(tensors)))
    return model


def _add(model: Model, operator: Operator) -> None:
    """Appends a step; one that only unpacks weights is done at once."""
    if operator.name not in ("DEQUANTIZE", "DENSIFY"):
        model.operators.append(operator)
        return
    packed = model.constants.get(operator.inputs[0]) if operator.inputs else None
    if packed is None or packed.shape != model.shapes[operator.output]:
        raise TFLiteError(f"{operator.name} has no weights to unpack, or of another size")
    model.constants[operator.output] = packed


def _name(code: Table) -> str:
    """Returns the name of an operator code; the older field is an int8 and ends at 127."""
    number = max(code.scalar(0, "b"), code.scalar(3, "i"))
    if number == _CUSTOM:
        return bytes(code.array(1, np.uint8, 100)).decode("ascii", errors="replace")
    return _NAMES.get(number, f"number {number}")


def _shape(tensor: Table) -> tuple[int, ...]:
    shape = tuple(int(size) for size in tensor.array(0, np.int32, _RANK))
    if min(shape, default=1) < 1 or np.prod(shape, dtype=object) > _LARGEST:
        raise TFLiteError(f"it has a tensor of shape {list(shape)}")
    return shape


def _operator(row: Table, names: list[str], tensors: int) -> Operator:
    code = row.scalar(0, "I")
    inputs, outputs = (tuple(row.array(f, np.int32, _INPUTS).tolist()) for f in (1, 2))
    if code >= len(names) or len(outputs) != 1:
        raise TFLiteError(f"an operator has the code {code} of {len(names)}, and {len(outputs)} outputs")
    for number in (*(n for n in inputs if n != -1), *outputs):
        _check_number(number, tensors)
    return Operator(names[code], inputs, outputs[0], row.table(4), bytes(row.array(5, np.uint8, 100)))


def _check_number(number: int, tensors: int) -> None:
    if not 0 <= number < tensors:
        raise TFLiteError(f"it refers to tensor {number} of {tensors}")


def _stored(tensor: Table, buffers: list[Table], size: int) -> NDArray[Any]:
    """Returns the numbers in a tensor's buffer as one row, or none for a tensor that is computed."""
    number, kind = tensor.scalar(2, "I"), tensor.scalar(1, "b")
    if number >= len(buffers):
        raise TFLiteError(f"it refers to buffer {number} of {len(buffers)}")
    raw = buffers[number].array(0, np.uint8, size)
    if kind not in _DTYPES:
        raise TFLiteError(f"it has numbers of type {kind}: only networks of float32 and float16 are read")
    dtype = np.dtype(_DTYPES[kind])
    if raw.size % dtype.itemsize:
        raise TFLiteError(f"it is damaged: {raw.size} bytes hold no whole {dtype}")
    return raw.view(dtype.newbyteorder("<"))


def _dense(values: NDArray[Any], shape: tuple[int, ...], tensor: Table) -> NDArray[Any]:
    sparsity = tensor.table(6)
    if sparsity is not None:
        values = densify(values, shape, sparsity)
    elif values.size != np.prod(shape, dtype=object):
        raise TFLiteError(f"it is damaged: {values.size} numbers for a tensor of shape {list(shape)}")
    if values.dtype.kind == "f":
        values = values.astype(np.float32)  # a copy: it outlives the file, and may be written to
        if not np.isfinite(values).all():
            raise TFLiteError("it has weights that are NaN or infinite")
    return values.reshape(shape)
