# SPDX-License-Identifier: Apache-2.0
"""A head's surface in its picture, from landmarks and outline alone: smooth, and without wrinkles or lips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..threads import limited_threads

Plane = NDArray[np.floating[Any]]

_GRID = 64  # of a picture's width: a surface between landmarks is no finer
_STIFF = (
    2e-3  # how far the plate may stay from its points: least error of normals on renders, for 68 and for 478 points
)
_RAYS = 48  # from the middle of the head to its outline
_APART = 0.06  # widths of the picture: nearer to a point the outline would contradict it, in wrinkles
_FRAME = 5  # points along each border of the picture, where nothing stands out


@dataclass(frozen=True, slots=True)
class Relief:
    """A surface as it is seen. ``normal`` [H, W, 3]: x right, y up, z to the viewer, of length 1; ``height`` [H, W]
    towards the viewer, in widths of the picture."""

    normal: Plane
    height: Plane


def relief(points: Plane, alpha: Plane) -> Relief:
    """Fits a smooth surface to ``points`` [3, L]: u and v in [0, 1], and height towards the viewer in picture widths.

    It is a thin plate (Duchon, 1977), the surface near the points that bends least. Its height is 0 at the picture's
    border and along the outline of ``alpha`` [H, W], because a head is widest in the plane of its middle.
    """
    height, width = alpha.shape
    edge = _outline(alpha)
    apart = np.linalg.norm(edge[:, None] - points[:2].T, axis=2).min(axis=1)
    flat = np.concatenate([edge[apart > _APART], _border()])
    places = np.concatenate([points[:2].T, flat])
    heights = np.concatenate([points[2], np.zeros(len(flat))])
    with limited_threads(1):  # one thread rounds alike however many cores there are
        plate = _thin_plate(torch.from_numpy(places), torch.from_numpy(heights))
    down, across = np.gradient(plate.numpy(), 1 / _GRID)
    slopes = np.stack([-across, down, np.ones_like(across)], axis=-1)
    normal = _enlarged(slopes / np.linalg.norm(slopes, axis=-1, keepdims=True), (height, width))
    return Relief(
        normal / np.linalg.norm(normal, axis=-1, keepdims=True),
        _enlarged(plate.numpy()[..., None], (height, width))[..., 0],
    )


def _thin_plate(places: Tensor, heights: Tensor) -> Tensor:
    """Fits the thin plate near ``heights`` [N] at ``places`` [N, 2], Σ wᵢ r² log r + a linear function; returns it at
    [_GRID, _GRID].
    """
    count = len(places)
    line = torch.cat([torch.ones(count, 1, dtype=torch.float64), places], dim=1)
    system = torch.zeros(count + 3, count + 3, dtype=torch.float64)
    system[:count, :count] = _bending(places, places) + _STIFF * torch.eye(count, dtype=torch.float64)
    system[:count, count:], system[count:, :count] = line, line.T
    weights = torch.linalg.solve(system, torch.cat([heights, torch.zeros(3, dtype=torch.float64)]))
    middles = (torch.arange(_GRID, dtype=torch.float64) + 0.5) / _GRID
    v, u = torch.meshgrid(middles, middles, indexing="ij")
    grid = torch.stack([u.flatten(), v.flatten()], dim=1)
    values = _bending(grid, places) @ weights[:count] + weights[count] + grid @ weights[count + 1 :]
    return values.reshape(_GRID, _GRID)


def _bending(a: Tensor, b: Tensor) -> Tensor:
    """Computes r² log r of the distances between ``a`` [N, 2] and ``b`` [M, 2], [N, M]."""
    squared = ((a[:, None] - b[None]) ** 2).sum(dim=2)
    return 0.5 * squared * torch.log(squared.clamp_min(1e-20))


def _outline(alpha: Plane) -> Plane:
    """Returns the points [≤ _RAYS, 2] where rays from the head's middle leave it, without those that leave the picture
    first.
    """
    height, width = alpha.shape
    solid = alpha > 0.5
    if not solid.any():
        return np.zeros((0, 2))
    middle = np.argwhere(solid).mean(axis=0)[::-1] + 0.5
    angles = 2 * np.pi * (np.arange(_RAYS) + 0.5) / _RAYS
    away = np.arange(0.0, np.hypot(height, width), 0.5)
    steps = middle + away[None, :, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)[:, None]
    x, y = np.floor(steps).astype(int).transpose(2, 0, 1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    head = inside & solid[y.clip(0, height - 1), x.clip(0, width - 1)]
    last = len(away) - 1 - head[:, ::-1].argmax(axis=1)
    rays = np.arange(_RAYS)
    leaves = head.any(axis=1) & inside[rays, np.minimum(last + 4, len(away) - 1)]
    return steps[rays, last][leaves] / [width, height]


def _border() -> Plane:
    """Returns points [4 · _FRAME − 4, 2] along the picture's border."""
    along = np.linspace(0, 1, _FRAME)
    square = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    return square[((square == 0) | (square == 1)).any(axis=1)]


def _enlarged(plane: Plane, shape: tuple[int, int]) -> NDArray[np.float32]:
    """[_GRID, _GRID, C] → [H, W, C]."""
    small = torch.from_numpy(plane).permute(2, 0, 1)[None].float()
    return F.interpolate(small, shape, mode="bicubic", align_corners=False)[0].permute(1, 2, 0).numpy()
