# SPDX-License-Identifier: Apache-2.0
"""The tensors of an opened file: their shapes at once, their numbers when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor of a file, which is read when ``read`` is called."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


Tensors = Mapping[str, Weight]
