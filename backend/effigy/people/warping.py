# SPDX-License-Identifier: Apache-2.0
"""Warps a picture so that points of a face come to other places: a smoothed thin-plate spline.

Bookstein, *Principal warps: thin-plate splines and the decomposition of deformations*, IEEE PAMI, 1989.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import RBFInterpolator
from scipy.spatial import ConvexHull
from torch import Tensor

from ..geometry.camera import Array

_AROUND = 1.35, 2.5  # the face's hull, scaled by these, stays where it is, and so does the picture's edge
_EDGE = 9  # points of each side
_SMOOTHED = 3e-4  # in squared picture widths: points are found with some noise
_GRID = 64  # places of a side at which the spline is computed


def warp(picture: Tensor, points: Array, to: Array) -> Tensor:
    """Moves what is at ``points`` [N, 2] of a picture [1, C, H, H] to the places ``to``, both in picture widths."""
    still = _still(points)
    there, shifts = np.concatenate([to, still]), np.concatenate([points - to, np.zeros_like(still)])
    spline = RBFInterpolator(there, shifts, kernel="thin_plate_spline", smoothing=_SMOOTHED)
    coarse = torch.from_numpy(spline(_centres(_GRID).reshape(-1, 2)).reshape(1, _GRID, _GRID, 2)).permute(0, 3, 1, 2)
    size = picture.shape[-1]
    shift = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
    grid = 2 * (torch.from_numpy(_centres(size)) + shift) - 1
    return F.grid_sample(
        picture, grid.float().to(picture.device), mode="bicubic", padding_mode="border", align_corners=False
    )


def _still(points: Array) -> Array:
    """Returns the points around a face that do not move, [M, 2]."""
    middle, side = points.mean(axis=0), np.linspace(0, 1, _EDGE)
    outline = points[ConvexHull(points).vertices]
    rings = [middle + scale * (outline - middle) for scale in _AROUND]
    edges = [np.stack(pair, axis=1) for at in (0.0, 1.0) for pair in ((side, 0 * side + at), (0 * side + at, side))]
    return np.unique(np.concatenate([*rings, *edges]), axis=0)


def _centres(size: int) -> Array:
    """Returns the middles of a square picture's pixels, [size, size, 2], in its widths."""
    at = (np.arange(size) + 0.5) / size
    return np.stack(np.meshgrid(at, at), axis=-1)
