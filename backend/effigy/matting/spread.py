# SPDX-License-Identifier: Apache-2.0
"""Spreading what is known in parts of a picture over all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Plane = NDArray[np.floating[Any]]  # of float32 where a picture's values are

_NEAR = 0.8, 3  # pixels: standard deviation and radius of what counts as beside
_LEAST = 1e-6  # weight from which something is beside


def spread(values: Plane, weight: Plane) -> Plane:
    """Fills ``values`` [H, W, C] from their surroundings where ``weight`` [H, W] is less than 1.

    Pull–push (Gortler et al., *The Lumigraph*, 1996): averages weighted by ``weight`` (0 … 1) over 2 × 2 pixels, again
    over 2 × 2 of those, and so on, and back: each level fills with the coarser one what its own weight leaves open.
    The result is 0 everywhere if there is no weight at all. The cost is linear in the picture's size.
    """
    if max(weight.shape) == 1:
        return values * (weight > 0)[..., None]
    known = values * weight[..., None]
    coarse_weight = _sums(weight)
    coarse = _sums(known) / np.maximum(coarse_weight, 1e-12)[..., None]
    around = spread(coarse, np.minimum(coarse_weight, 1))
    return known + (1 - weight)[..., None] * _enlarged(around, weight.shape)


def spread_from_edge(values: Plane, weight: Plane) -> Plane:
    """Fills as ``spread`` does, but with the colours right beside within 3 pixels of what is known.

    Squares of pull–push lie where they lie: a strip of hair two pixels wide shares its own with the skin behind it, and
    would be continued by skin.
    """
    deviation, radius = _NEAR
    known = np.concatenate([values, np.ones_like(weight)[..., None]], axis=-1) * weight[..., None]
    near = gaussian_filter(known, (deviation, deviation, 0), mode="constant", truncate=radius / deviation)
    share = near[..., -1]
    beside = near[..., :-1] / np.maximum(share, _LEAST)[..., None]
    filled = known[..., :-1] + (1 - weight)[..., None] * beside
    return spread(filled, np.where(share > _LEAST, np.float32(1), weight))


def _sums(plane: Plane) -> Plane:
    """Sums squares of 2 × 2: [H, W, …] → [⌈H / 2⌉, ⌈W / 2⌉, …]. Values beyond the border are 0."""
    for axis in (0, 1):
        if plane.shape[axis] % 2:
            plane = np.pad(plane, [(0, 1 if a == axis else 0) for a in range(plane.ndim)])
    return plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]


def _enlarged(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Interpolates linearly to twice the size, between the middles of pixels: [h, w, C] → [H, W, C]."""
    for _ in range(2):  # along the first axis, and then, exchanged, along the second
        padded = np.pad(plane, ((1, 1), (0, 0), (0, 0)), mode="edge")
        pairs = np.stack([0.75 * plane + 0.25 * padded[:-2], 0.75 * plane + 0.25 * padded[2:]], axis=1)
        plane = pairs.reshape(-1, *plane.shape[1:]).swapaxes(0, 1)
    return plane[: shape[0], : shape[1]]
