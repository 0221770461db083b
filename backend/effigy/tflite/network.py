# SPDX-License-Identifier: Apache-2.0
"""A .tflite file as a PyTorch module."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .flatbuffer import TFLiteError
from .model import Model, Operator, read_model
from .node import Made, Node, Run, Shape
from .operators import OPERATORS

_WORK = 4 << 30  # multiplications for a picture: MediaPipe's largest body network needs 0.4e9
_LIVE = 1 << 26  # numbers that are there at once, beside the weights: 256 MiB


@dataclass(frozen=True, slots=True)
class _Step:
    run: Run
    inputs: tuple[int, ...]  # tensors of floats by number, without those that are absent
    output: int
    done: tuple[int, ...]  # what nobody needs afterwards


class TFLiteNetwork(nn.Module):
    """Runs a floating-point network on any number of pictures at once, on any device."""

    def __init__(self, data: bytes) -> None:
        """``data``: the file's bytes. Raises TFLiteError, before it allocates more than their size justifies."""
        super().__init__()
        model = read_model(data)
        self.input_shape = model.shapes[model.input]  # of one picture: [1, …]
        self._input, self._outputs = model.input, model.outputs
        self._steps = _steps(model)
        self._constants = sorted({n for step in self._steps for n in step.inputs} & model.constants.keys())
        for number in self._constants:
            self.register_buffer(_name(number), torch.from_numpy(model.constants[number]))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """x [N, *input_shape[1:]] → the outputs, each [N, …]. Raises ValueError for pictures of another size."""
        if x.shape[1:] != self.input_shape[1:]:
            raise ValueError(f"this network takes [N, {str(list(self.input_shape[1:]))[1:-1]}], not {list(x.shape)}")
        values: dict[int, Tensor] = {number: getattr(self, _name(number)) for number in self._constants}
        values[self._input] = x
        for step in self._steps:
            values[step.output] = step.run(*(values[n] for n in step.inputs))
            for number in step.done:
                del values[number]
        return tuple(values[number] for number in self._outputs)


def _name(number: int) -> str:
    return f"constant{number}"


def _steps(model: Model) -> list[_Step]:
    """Lists the operations in order, each checked: its inputs exist, and its outputs are as declared."""
    if model.shapes[model.input][:1] != (1,) or model.input in model.constants:
        raise TFLiteError(f"it takes {list(model.shapes[model.input])}, where one picture [1, …] is read")
    floats = {number for number, values in model.constants.items() if values.dtype.kind == "f"}
    last = {n: position for position, operator in enumerate(model.operators) for n in operator.inputs}
    known = {model.input, *model.constants}
    live = {model.input, *floats}
    steps, work, size = [], 0, _count(model.shapes[model.input])
    for position, operator in enumerate(model.operators):
        inputs = tuple(n for n in operator.inputs if n in floats or (n != -1 and n not in model.constants))
        if not live.issuperset(inputs) or operator.output in known:
            raise TFLiteError(f"its {operator.name} needs what no operator before it gives, or gives it again")
        run, shape = _make(operator, model)
        _check_shape(operator, shape, model)
        known.add(operator.output)
        live.add(operator.output)
        size += _count(shape)
        work += _count(shape) * _taps(operator, model, floats)
        if work > _WORK or size > _LIVE:
            raise TFLiteError("it needs more work or memory for a picture than any network that is meant here")
        done = {n for n in inputs if n not in floats and last[n] == position and n not in model.outputs}
        live -= done
        size -= sum(_count(model.shapes[n]) for n in done)
        steps.append(_Step(run, inputs, operator.output, tuple(done)))
    if not known.issuperset(model.outputs) or model.constants.keys() & set(model.outputs):
        raise TFLiteError("it has outputs that no operator gives")
    return steps


def _check_shape(operator: Operator, shape: Shape, model: Model) -> None:
    declared = model.shapes[operator.output]
    # A cut that takes the only picture keeps the pictures' axis here: only what comes out may have that.
    cut = operator.output in model.outputs and shape == (1, *declared)
    if shape[:1] != (1,) or not (shape == declared or cut):
        raise TFLiteError(f"its {operator.name} gives {list(shape)}, where {list(declared)} is declared")


def _make(operator: Operator, model: Model) -> Made:
    make = OPERATORS.get(operator.name)
    if make is None:
        raise TFLiteError(f"it has the operator {operator.name!r}, which is not read")
    node = Node(
        operator.name,
        operator.options,
        operator.custom,
        tuple(None if n == -1 else model.shapes[n] for n in operator.inputs),
        tuple(model.integers(n) for n in operator.inputs),
        model.shapes[operator.output],
    )
    try:
        return make(node)
    except (ValueError, IndexError) as error:
        if isinstance(error, TFLiteError):
            raise
        raise node.refuse(f"has inputs that do not fit each other ({str(error)[:100]})") from None


def _taps(operator: Operator, model: Model, floats: set[int]) -> int:
    """Multiplications for each number that it gives: its weights for one filter, or the window of a pool."""
    weights = sum(_count(model.shapes[n]) for n in operator.inputs if n in floats)
    filters = model.shapes[operator.output][-1:] or (1,)
    window = 1
    if operator.name in ("AVERAGE_POOL_2D", "MAX_POOL_2D") and operator.options is not None:
        window = operator.options.scalar(3, "i") * operator.options.scalar(4, "i")
    return int(max(weights // filters[0], window, 1))


def _count(shape: Shape) -> int:
    return math.prod(shape)
