# SPDX-License-Identifier: Apache-2.0
"""Alpha from a network that knows coarse places only, made to follow the picture's own edges."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from .spread import Plane

_RADIUS = 1 / 32  # of the picture's width: how far from a coarse edge the true one may lie
_NOISE = 1e-4  # variance of colour (0 … 1) below which nothing counts as an edge
_LEVELS = (0.05, 0.95)  # of the filtered alpha that become 0 and 1: it leaks a little into either side


def refine(alpha: Plane, colour: Plane) -> Plane:
    """``alpha`` [H, W] as a linear function of ``colour`` [H, W, 3] in every neighbourhood; all 0 … 1.

    The guided filter with colour as its guide (He, Sun, Tang, *Guided Image Filtering*, 2010, section 3.4):
    α = a·C + b, a = (Σ + ε)⁻¹ cov(C, α) over squares, a and b averaged over those that a pixel lies in.
    Further than that from the coarse edge alpha is 0 or 1: an eye has edges, too.
    """
    size = 2 * max(1, round(_RADIUS * alpha.shape[1])) + 1
    guide, coarse = colour.astype(np.float64), alpha.astype(np.float64)

    def mean(plane: Plane) -> Plane:
        return uniform_filter(plane, (size, size, *[0] * (plane.ndim - 2)), mode="reflect")

    centre, level = mean(guide), mean(coarse)
    spread = mean(guide[..., :, None] * guide[..., None, :]) - centre[..., :, None] * centre[..., None, :]
    together = mean(guide * coarse[..., None]) - centre * level[..., None]
    slope = np.linalg.solve(spread + _NOISE * np.eye(3), together[..., None])[..., 0]
    offset = level - (slope * centre).sum(axis=-1)
    refined = (mean(slope) * guide).sum(axis=-1) + mean(offset)
    refined = ((refined - _LEVELS[0]) / (_LEVELS[1] - _LEVELS[0])).clip(0, 1)
    refined[minimum_filter(coarse, size) > 0.5] = 1
    refined[maximum_filter(coarse, size) < 0.5] = 0
    return refined.astype(np.float32)
