# SPDX-License-Identifier: Apache-2.0
"""Which rows of which layer a strip of a block's picture needs, so that a block can be painted strip by strip.

What a layer makes of a large picture is hundreds of megabytes. Malloc asks the system for as much every time, which
clears every page of it, and no cache holds it from one step to the next. Strips of a few megabytes are neither
cleared nor forgotten; what is paid for it are the rows that neighbours both compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

_STRIP_BYTES = 16 << 20  # of one layer's float32; 8 and 24 are slower, by a twentieth


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows of a block that doubles the picture: an up-convolution, then a 3 × 3 convolution."""

    read: slice  # of the block's input
    grown: slice  # of what the up-convolution makes: those that come of ``read``
    smoothed: slice  # and those of them that the convolution reads
    kept: slice  # and those that it gets right, which are the strip


def strips(height: int, step: int) -> Iterator[Strip]:
    """A block's input of ``height`` rows in strips of ``step`` rows, twice as many of the picture.

    An output row 2i or 2i + 1 of the up-convolution comes of the input rows from i − 1 to i + 1; of all that is read,
    only the first and the last row of the picture have nothing beyond them.
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
    """How many rows of ``x`` [N, C, h, w] a strip has that becomes ``channels``, twice as high and wide: h for all.

    Only processors gain from strips, and only where no gradient keeps every layer anyway.
    """
    N, _, h, w = x.shape
    row = N * channels * 2 * (2 * w) * 4
    return h if x.device.type != "cpu" or x.requires_grad else min(h, max(1, _STRIP_BYTES // row))


def within(rows: slice, larger: slice) -> slice:
    """``rows`` counted from where ``larger`` begins."""
    return slice(rows.start - larger.start, rows.stop - larger.start)
