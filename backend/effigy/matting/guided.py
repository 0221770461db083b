# SPDX-License-Identifier: Apache-2.0
"""Alpha from a network that knows coarse places only, made to follow the picture's own edges."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from .spread import Plane

_PLACES = 256  # of a picture's width, of which the network knows no more; lines are fitted to means over such places
_RADIUS = 1 / 32  # of the picture's width: how far from a coarse edge the true one may lie
_NOISE = 1e-4  # variance of colour (0 … 1) below which nothing counts as an edge
_LEVELS = (0.05, 0.95)  # of the filtered alpha that become 0 and 1: it leaks a little into either side


def refine(alpha: Plane, colour: Plane) -> Plane:
    """Makes ``alpha`` [H, W] follow the edges of ``colour`` [H, W, 3]; both and the result are in [0, 1].

    The guided filter with colour as its guide (He, Sun, Tang, *Guided Image Filtering*, 2010, section 3.4):
    α = a·C + b, a = (Σ + ε)⁻¹ cov(C, α) over squares, a and b averaged over those that a pixel lies in. Of large
    pictures a and b are found in a smaller one (He, Sun, *Fast Guided Filter*, 2015).
    Farther than a square from the coarse edge, alpha is set to 0 or 1, because eyes and clothes have edges too.
    """
    step = max(1, round(alpha.shape[1] / _PLACES))
    guide, coarse = _reduced(colour.astype(np.float64), step), _reduced(alpha.astype(np.float64), step)
    size = 2 * max(1, round(_RADIUS * coarse.shape[1])) + 1
    slope, offset = (_enlarged(plane.astype(np.float32), step, alpha.shape) for plane in _lines(guide, coarse, size))
    refined = (slope * colour).sum(axis=-1) + offset
    refined = ((refined - _LEVELS[0]) / (_LEVELS[1] - _LEVELS[0])).clip(0, 1)
    for level, near in ((1, minimum_filter(coarse, size) > 0.5), (0, maximum_filter(coarse, size) < 0.5)):
        refined[near.repeat(step, 0).repeat(step, 1)[: alpha.shape[0], : alpha.shape[1]]] = level
    return refined.astype(np.float32)


def _lines(guide: Plane, coarse: Plane, size: int) -> tuple[Plane, Plane]:
    """Fits the line a [H, W, 3] and b [H, W] of every neighbourhood of ``size`` pixels a side."""

    def mean(plane: Plane) -> Plane:
        return uniform_filter(plane, (size, size, *[0] * (plane.ndim - 2)), mode="reflect")

    centre, level = mean(guide), mean(coarse)
    r, g, b = np.moveaxis(guide, -1, 0)
    cr, cg, cb = np.moveaxis(centre, -1, 0)
    rr, gg, bb = (mean(c * c) - m * m + _NOISE for c, m in ((r, cr), (g, cg), (b, cb)))
    rg, rb, gb = mean(r * g) - cr * cg, mean(r * b) - cr * cb, mean(g * b) - cg * cb
    together = mean(guide * coarse[..., None]) - centre * level[..., None]
    # Σ⁻¹ by its cofactors: a thousand times as many small matrices as numpy's solver is made for.
    rows = np.stack(
        [
            np.stack([gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg], axis=-1),
            np.stack([rb * gb - rg * bb, rr * bb - rb * rb, rb * rg - rr * gb], axis=-1),
            np.stack([rg * gb - rb * gg, rb * rg - rr * gb, rr * gg - rg * rg], axis=-1),
        ],
        axis=-2,
    )
    determinant = rr * rows[..., 0, 0] + rg * rows[..., 0, 1] + rb * rows[..., 0, 2]
    slope = np.einsum("...ij,...j->...i", rows, together) / determinant[..., None]
    return mean(slope), mean(level - (slope * centre).sum(axis=-1))


def _reduced(plane: Plane, step: int) -> Plane:
    """Averages squares: [H, W, …] → [⌈H / step⌉, ⌈W / step⌉, …]. Beyond the border the last values are repeated."""
    if step == 1:
        return plane
    height, width = plane.shape[:2]
    rest = [(0, -height % step), (0, -width % step), *[(0, 0)] * (plane.ndim - 2)]
    whole = np.pad(plane, rest, mode="edge")
    squares = whole.reshape(whole.shape[0] // step, step, whole.shape[1] // step, step, *plane.shape[2:])
    return squares.mean(axis=(1, 3))


def _enlarged(plane: Plane, step: int, shape: tuple[int, ...]) -> Plane:
    """Interpolates linearly between the middles of squares: [h, w, …] → [H, W, …]."""
    for axis in (0, 1) if step > 1 else ():
        places = ((np.arange(shape[axis]) + 0.5) / step - 0.5).clip(0, plane.shape[axis] - 1)
        first = np.minimum(places.astype(int), max(plane.shape[axis] - 2, 0))
        share = (places - first).astype(plane.dtype).reshape(-1, *[1] * (plane.ndim - 1 - axis))
        before, after = (plane.take(np.minimum(first + n, plane.shape[axis] - 1), axis) for n in (0, 1))
        plane = before + share * (after - before)
    return plane
