# SPDX-License-Identifier: Apache-2.0
"""Defines the eight planes of a picture of the default, stored in 8 bits and painted in [−1, 1].

| plane | what | −1 … 1 |
|---|---|---|
| 0–2 | RGB, sRGB over its background | 0 … 255 |
| 3 | alpha of head, hair and clothes | 0 … 1 |
| 4–6 | normal, camera space (x right, y up, z to the viewer), times alpha | −1 … 1 |
| 7 | depth towards the viewer from the neck's axis, times alpha | −DEEP … DEEP |
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .renderer import Rendering

NAMES = ("red", "green", "blue", "alpha", "normal_x", "normal_y", "normal_z", "depth")
PLANES = len(NAMES)
RGB, ALPHA, NORMAL, DEPTH = slice(0, 3), slice(3, 4), slice(4, 7), slice(7, 8)
DEEP = 20.0  # cm


def planes_of(rendering: Rendering) -> NDArray[np.uint8]:
    """Returns the planes [S, S, PLANES] of a render."""
    film = rendering.film
    return np.concatenate(
        [
            rendering.picture,
            to_bytes(2 * film.alpha[..., None] - 1),
            to_bytes(film.normal),
            to_bytes(film.depth[..., None] / DEEP),
        ],
        axis=2,
    )


def to_bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Maps −1 … 1 to 0 … 255."""
    return (127.5 * values + 128.0).clip(0, 255).astype(np.uint8)
