# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures in the form that Blender's images take: float32 RGBA, bottom row first, flat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

_YELLOW = (1.0, 0.82, 0.0, 1.0)
_BLACK = (0.02, 0.02, 0.02, 1.0)
_RED = (0.85, 0.0, 0.1, 1.0)


def from_rgba8(data: bytes | memoryview, height: int, width: int, *, doubled: bool = False) -> Pixels:
    """Bytes of a picture, top row first → flat float32 values, bottom row first.

    ``doubled``: at twice the height and width, for what is painted at half size while a hand moves.
    """
    pixels = np.frombuffer(data, dtype=np.uint32).reshape(height, width)[::-1]  # one number each: quick to repeat
    if doubled:
        pixels = np.repeat(np.repeat(pixels, 2, axis=1), 2, axis=0)
    return np.multiply(pixels.view(np.uint8), np.float32(1 / 255), dtype=np.float32).reshape(-1)


def error_picture(height: int, width: int) -> Pixels:
    """Hazard stripes with a red cross: nobody takes it for a face, in colour or in grey."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.where((((x + y) * 8).astype(int) % 2 == 0)[..., None], _YELLOW, _BLACK)
    cross = (abs(x - y) < 0.05) | (abs(x + y - height / max(height, width)) < 0.05)
    picture[cross] = _RED
    return picture.astype(np.float32).reshape(-1)
