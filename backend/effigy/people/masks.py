# SPDX-License-Identifier: Apache-2.0
"""Makes masks of faces: the convex hull of a face's points, with soft edges, and widens masks."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter
from scipy.spatial import ConvexHull
from torch import Tensor

from ..geometry.camera import Array

_GROWN = 1.08  # the hull is scaled by this, to cover the upper edge of the brows and the cheeks
_FINE = 4  # samples per pixel and axis, for smooth edges


def face_mask(points: Array, size: int, scale: float = _GROWN, soft: float = 0.0) -> Array:
    """Returns a mask [size, size] in [0, 1] of a face's ``points`` [N, 2], in pixels of a square picture.

    The hull is scaled by ``scale`` about the mean of the points, and blurred by a Gaussian of ``soft`` pixels.
    """
    middle = points.mean(axis=0)
    outline = points[ConvexHull(points).vertices]
    corners = (middle + scale * (outline - middle)) * _FINE
    drawn = Image.new("L", (size * _FINE, size * _FINE))
    ImageDraw.Draw(drawn).polygon([tuple(corner) for corner in corners.tolist()], fill=255)
    small = drawn.resize((size, size), Image.Resampling.BOX)
    if soft > 0:
        small = small.filter(ImageFilter.GaussianBlur(soft))
    return np.asarray(small, np.float64) / 255


def grown(mask: Tensor, by: float) -> Tensor:
    """Widens a square mask [1, 1, H, H] by the share ``by`` of its side."""
    around = 2 * round(by * mask.shape[-1]) + 1
    return F.max_pool2d(mask, around, stride=1, padding=around // 2)
