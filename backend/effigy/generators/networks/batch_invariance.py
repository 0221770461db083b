# SPDX-License-Identifier: Apache-2.0
"""Computes picture by picture what libraries would round differently in a batch, so that each picture has the bits that
it has alone.

For a product of few rows, or a convolution of few pixels, libraries split the sum; the split, and so the order of
additions, depends on the number of rows and threads. Larger products are split along their results only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...threads import limited_threads
from .operations import SQRT2, may_overwrite


def row_by_row(compute: Callable[[Tensor], Tensor], rows: Tensor, threads: int | None = 1) -> Tensor:
    """Calls ``compute`` for each row of ``rows`` [N, …] separately, where bits matter: on a CPU, without gradients.

    ``threads``: how many compute; None for operations whose rounding does not depend on it.
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
