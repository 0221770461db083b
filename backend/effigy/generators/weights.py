# SPDX-License-Identifier: Apache-2.0
"""The tensors of an open file: shapes are known at once, numbers are read on demand."""

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
