# SPDX-License-Identifier: Apache-2.0
"""What is computed picture by picture, so that pictures painted together have the bits of each painted alone.

Libraries cut a product of a few rows, or a convolution of a few pixels, along its sum: into other pieces for another
number of rows or of threads, which add up in another order. What is larger they cut along its results only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...threads import limited_threads
from .operations import SQRT2, may_overwrite


def row_by_row(compute: Callable[[Tensor], Tensor], rows: Tensor, threads: int | None = 1) -> Tensor:
    """``compute`` of ``rows`` [N, …], each by itself, where bits matter: on a CPU, without gradients.

    ``threads``: how many compute; None is for what rounds alike with any number.
    """
    if rows.device.type != "cpu" or not may_overwrite():
        return compute(rows)
    with limited_threads(threads):
        return torch.cat([compute(row) for row in torch.split(rows, 1)]) if len(rows) > 1 else compute(rows)


def demodulation(style: Tensor, squares: Tensor) -> Tensor:
    """Style [N, in] and a convolution's ``energy`` [in, out] → [N, out]: what brings its output back to unit variance.

    Times the gain √2 of the activation behind it, which is positive and passes through.
    """
    return row_by_row(lambda style: (style.square() @ squares + 1e-8).rsqrt() * SQRT2, style)
