# SPDX-License-Identifier: Apache-2.0
"""Which rows of which layer a strip of a block's picture needs, so that a block can be painted strip by strip.

What a layer makes of a 1024 picture is up to 134 MB. Where freed memory is not kept (``effigy.memory``), the system is
asked for as much every time and clears every page of it; and no cache holds it from one step to the next. A strip of a
few megabytes stays with the process and nearer to the processor. The price is the rows that neighbours both compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

_STRIP = 16 << 20  # bytes of a strip of a layer in float32; of 8 MiB no faster, of 32 a tenth slower (benchmarks.md)


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows of a block that doubles the picture: an up-convolution, then a 3 × 3 convolution."""

    read: slice  # of the block's input
    grown: slice  # of what the up-convolution makes: those that come of ``read``
    smoothed: slice  # and those of them that the convolution reads
    kept: slice  # and those that it gets right, which are the strip


def strips(height: int, step: int) -> Iterator[Strip]:
    """Cuts a block's input of ``height`` rows into strips of ``step`` rows; each gives twice as many rows of output.

    Two more rows are read on either side: one for the 3 × 3 convolution, and one for the up-convolution before it,
    whose rows 2i and 2i + 1 depend on the rows i − 1 to i + 1. Beyond the picture's edge are zeros, as without strips.
    """
    for start in range(0, height, step):
        stop = min(start + step, height)
        low, high = max(start - 2, 0), min(stop + 2, height)
        yield Strip(
            slice(low, high),
            slice(2 * low, 2 * high),
            slice(max(2 * start - 1, 0), min(2 * stop + 1, 2 * height)),
            slice(2 * start, 2 * stop),
        )


def strip_step(x: Tensor, channels: int) -> int:
    """Returns how many rows of each picture in ``x`` [N, C, h, w] a block of ``channels`` paints at a time; h: all.

    Only CPUs gain from strips, and not where gradients keep every layer's result anyway.
    """
    _, _, h, w = x.shape
    row = channels * 2 * (2 * w) * 4
    return h if x.device.type != "cpu" or x.requires_grad else min(h, max(1, _STRIP // row))


def within(rows: slice, larger: slice) -> slice:
    """Returns ``rows`` relative to the first row of ``larger``."""
    return slice(rows.start - larger.start, rows.stop - larger.start)
