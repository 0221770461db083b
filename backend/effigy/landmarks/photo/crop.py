# SPDX-License-Identifier: Apache-2.0
"""Cuts rotated squares out of a picture, in the size that a network takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of a picture, in pixels: its centre (x, y), its side, and its rotation in radians, clockwise."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def matrix(self) -> Array:
        """Returns the matrix [2, 3] that maps (x, y, 1), with x and y in [0, 1] over the crop, to pixels."""
        cos, sin = self.side * math.cos(self.angle), self.side * math.sin(self.angle)
        return np.array([[cos, -sin, self.x - 0.5 * (cos - sin)], [sin, cos, self.y - 0.5 * (sin + cos)]])

    def to_picture(self, points: Array) -> Array:
        """Maps points [..., 2] from [0, 1] over the crop to pixels of the picture."""
        M = self.matrix()
        return np.asarray(points @ M[:, :2].T + M[:, 2])


def doubled(pictures: Tensor) -> Tensor:
    """Enlarges pictures [N, H, W, 3] uint8 to twice their size, as 128 pixels are few for networks of photographs."""
    large = F.interpolate(pictures.permute(0, 3, 1, 2).float(), scale_factor=2, mode="bicubic", align_corners=False)
    return large.clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()


def cut(picture: Tensor, crop: Crop, size: int, *, black: bool = False) -> Tensor:
    """Cuts the crop out of a picture [H, W, 3] uint8: [size, size, 3] in [0, 1], on the same device.

    Outside the picture it is ``black``, or repeats the nearest edge. When the picture is shrunk, pixels are averaged.
    """
    height, width, _ = picture.shape
    M = crop.matrix()
    corners = crop.to_picture(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
    shrink = max(int(crop.side / size), 1)
    margin = 2 * shrink
    left, top = (_clamp(math.floor(v) - margin, 0, n - 1) for v, n in zip(corners.min(0), (width, height), strict=True))
    right, bottom = (
        _clamp(math.ceil(v) + margin, at + 1, n)
        for v, at, n in zip(corners.max(0), (left, top), (width, height), strict=True)
    )
    region = picture[top:bottom, left:right].permute(2, 0, 1)[None].float()
    if shrink > 1:
        region = F.avg_pool2d(region, shrink, ceil_mode=True, count_include_pad=False)
    rows, columns = region.shape[2:]
    # grid_sample counts both the crop and the region from −1 to 1 between their outer edges.
    scale = 2 / (shrink * np.array([[columns], [rows]]))
    halves = np.array([[0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 1]])
    theta = scale * ((M - [[0, 0, left], [0, 0, top]]) @ halves) - [[0, 0, 1], [0, 0, 1]]
    grid = F.affine_grid(torch.from_numpy(theta[None]).float().to(region), [1, 3, size, size], align_corners=False)
    mode = "zeros" if black else "border"
    return (
        F.grid_sample(region, grid, mode="bilinear", padding_mode=mode, align_corners=False)[0].permute(1, 2, 0) / 255
    )


def _clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)
