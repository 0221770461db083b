# SPDX-License-Identifier: Apache-2.0
"""Where a face is in a picture: the hull of its points, grown and with soft edges."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.spatial import ConvexHull

from ..geometry.camera import Array

_GROWN = 1.08  # of the hull about its middle: brows' upper edge and cheeks
_FINE = 4  # times finer are edges drawn


def face_mask(points: Array, size: int, grown: float = _GROWN, soft: float = 0.0) -> Array:
    """Points [N, 2] in pixels of a square picture → [size, size] of 0 … 1; edges ``soft`` pixels wide."""
    middle = points.mean(axis=0)
    outline = points[ConvexHull(points).vertices]
    corners = (middle + grown * (outline - middle)) * _FINE
    drawn = Image.new("L", (size * _FINE, size * _FINE))
    ImageDraw.Draw(drawn).polygon([tuple(corner) for corner in corners.tolist()], fill=255)
    small = drawn.resize((size, size), Image.Resampling.BOX)
    if soft > 0:
        small = small.filter(ImageFilter.GaussianBlur(soft))
    return np.asarray(small, np.float64) / 255
