# SPDX-License-Identifier: Apache-2.0
"""What the functions of operators are made from: a node of the graph as the file has it, and a kernel's window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from .flatbuffer import Table, TFLiteError

Shape = tuple[int, ...]
Run = Callable[..., Tensor]
Made = tuple[Run, Shape]

_SAME, _VALID = 0, 1  # padding
_REACH = 256  # pixels between a kernel's ends
ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {0: lambda x: x, 1: F.relu, 3: F.relu6}


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of the graph: its options, and its inputs for one picture."""

    name: str
    options: Table | None
    custom: bytes  # the options of an operator that is not TensorFlow's own
    shapes: tuple[Shape | None, ...]  # of the inputs; None of what is absent
    integers: tuple[tuple[int, ...], ...]  # values of the inputs that are constant integers; none of the others
    declared: Shape  # of the output, as the file says

    def refuse(self, why: str) -> TFLiteError:
        """Returns the error that says what of this operator is not read."""
        return TFLiteError(f"its {self.name} {why}")

    def shape(self, number: int, rank: int | None = None) -> Shape:
        """Returns the shape of an input. Raises TFLiteError if it is absent or has not ``rank`` axes."""
        found = self.shapes[number] if number < len(self.shapes) else None
        if found is None or (rank is not None and len(found) != rank):
            raise self.refuse(f"has {'no' if found is None else list(found)} as input {number}")
        return found

    def values(self, number: int) -> tuple[int, ...]:
        """Returns the values of an input of constant integers. Raises TFLiteError if it is none."""
        if number >= len(self.integers) or not self.integers[number]:
            raise self.refuse(f"has no constant as input {number}")
        return self.integers[number]

    def option(self, field: int, code: str, default: int = 0) -> int:
        """Returns the option ``field``, of the type ``code`` as in ``struct``; ``default`` where it is absent."""
        return default if self.options is None else int(self.options.scalar(field, code, default))

    def pair(self, field: int, default: int = 0) -> tuple[int, int]:
        """Returns two options as (height's, width's); in the file the width's comes first.

        Raises TFLiteError unless both are from 1 to 65535.
        """
        found = self.option(field + 1, "i", default), self.option(field, "i", default)
        if not all(0 < size < 1 << 16 for size in found):
            raise self.refuse(f"has sizes or strides of {list(found)}")
        return found

    def activation(self, field: int) -> Callable[[Tensor], Tensor]:
        """Returns the function that the option ``field`` names. Raises TFLiteError for one that is not known."""
        kind = self.option(field, "b")
        if kind not in ACTIVATIONS:
            raise self.refuse(f"ends in the activation {kind}, which is not read")
        return ACTIVATIONS[kind]

    def axes(self, number: int) -> tuple[int, ...]:
        """Returns the axes that an input names, counted from 0.

        Raises TFLiteError for axes that there are not, for one twice, and for the first, which is that of pictures.
        """
        rank = len(self.shape(0))
        axes = tuple(axis + rank if axis < 0 else axis for axis in self.values(number))
        if not all(0 < axis < rank for axis in axes) or len(set(axes)) != len(axes):
            raise self.refuse(f"goes along the axes {list(axes)} of {rank}")
        return axes


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel that slides over a picture."""

    kernel: tuple[int, int]  # height and width, as all pairs here
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: int

    def size(self, node: Node, height: int, width: int) -> tuple[int, int]:
        """Returns the height and width of the result for a picture. Raises TFLiteError where it does not fit."""
        found = tuple(
            -(-size // step) if self.padding == _SAME else (size - (taps - 1) * apart - 1) // step + 1
            for size, taps, step, apart in zip((height, width), self.kernel, self.stride, self.dilation, strict=True)
        )
        reaches = [(taps - 1) * apart for taps, apart in zip(self.kernel, self.dilation, strict=True)]
        if self.padding not in (_SAME, _VALID) or min(found) < 1 or max(reaches) > _REACH:
            raise node.refuse(f"goes over {height} × {width} with {self}")
        return found[0], found[1]

    def pads(self, height: int, width: int) -> list[int]:
        """Returns the pixels of padding: left, right, top, bottom. Right and bottom get the odd one."""
        widths: list[int] = []
        for axis, size in ((1, width), (0, height)):
            reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
            missing = max((-(-size // self.stride[axis]) - 1) * self.stride[axis] + reach - size, 0)
            widths += [0, 0] if self.padding == _VALID else [missing // 2, missing - missing // 2]
        return widths

    def convolve(self, height: int, width: int, groups: int) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
        """Returns the convolution of x [N, C, height, width] with kernels [O, C / groups, …] and a bias [O]."""
        left, right, top, bottom = pads = self.pads(height, width)
        if left == right and top == bottom:  # PyTorch's own padding costs nothing
            return lambda x, w, bias: F.conv2d(x, w, bias, self.stride, (top, left), self.dilation, groups)
        return lambda x, w, bias: F.conv2d(F.pad(x, pads), w, bias, self.stride, 0, self.dilation, groups)
