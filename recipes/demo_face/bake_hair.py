# SPDX-License-Identifier: Apache-2.0
"""Where hair grows: roots on the scalp, the distance to the skin that keeps strands out of it, and brows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from .bake_skin import LEFT_BROW, RIGHT_BROW, spline
from .head import Head, Part

ROOTS = 7500
GRID = 72
LOW, HIGH = np.array([-15.0, -21.0, -15.0]), np.array([15.0, 17.0, 16.0])  # cm, of the distance field
BROW_STRANDS = 340  # a side
# The hairline's height (cm) over the azimuth (degrees from straight ahead, around the vertical axis).
HAIRLINE = (
    (0, 12, 24, 36, 46, 54, 60, 66, 72, 80, 92, 104, 118, 135, 160, 180),
    (9.9, 9.85, 9.6, 9.0, 7.9, 6.0, 3.6, 1.8, 1.2, 3.4, 3.6, 1.5, -2.0, -5.0, -6.2, -6.4),
)


@dataclass(frozen=True, slots=True)
class Roots:
    """N roots; they move with a point of a triangle."""

    points: NDArray[np.float32]  # [N, 3] on the neutral head
    normals: NDArray[np.float32]  # [N, 3]
    inside: NDArray[np.float32]  # [N] cm within the hairline
    corners: NDArray[np.int32]  # [N, 3] vertices of the triangle
    weights: NDArray[np.float32]  # [N, 3] place in it


@dataclass(frozen=True, slots=True)
class Field:
    """Signed distance to the skin (positive outside) and its gradient on a grid from ``low`` to ``high``."""

    values: NDArray[np.float32]  # [GRID, GRID, GRID, 4]
    low: NDArray[np.float32]  # [3]
    high: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Brows:
    """Strands of three points each, right and left by turns, so that any first part of them is even."""

    corners: NDArray[np.int32]  # [N, 3 points, 3] vertices of the triangle each point moves with
    weights: NDArray[np.float32]  # [N, 3 points, 3]


def within_hairline(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """[N] cm above the hairline; negative on the face and neck."""
    azimuth = np.degrees(np.arctan2(np.abs(points[:, 0]), points[:, 2] - 1.0))
    return points[:, 1] - np.interp(azimuth, *HAIRLINE)


def hair_roots(head: Head, normals: NDArray[np.float32]) -> Roots:
    """Roots spread evenly over the scalp, in random order."""
    random = np.random.default_rng(5)
    skin = head.triangles[(head.parts == Part.SKIN) | (head.parts == Part.FACE)]
    corners = head.vertices[skin]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    x, y, z = corners.mean(axis=1).T
    ear = (np.abs(x) > 7.15) & (y < 4.4) & (y > -3) & (z < 3.2) & (z > -3.5)
    scalp = area * (within_hairline(corners.mean(axis=1)) > -0.4) * ~ear * (y > -7)
    # One draw from each equal share of the area, so that no spot is bare.
    where = (np.arange(ROOTS) + random.random(ROOTS)) / ROOTS
    triangle = np.searchsorted(np.cumsum(scalp) / scalp.sum(), where)
    r, s = np.sqrt(random.random(ROOTS)), random.random(ROOTS)
    weights = np.stack([1 - r, r * (1 - s), r * s], axis=1)
    points = (corners[triangle] * weights[:, :, None]).sum(axis=1)
    inside = within_hairline(points)
    chosen = random.permutation(np.flatnonzero(inside > -0.15))
    outwards = (normals[skin[triangle]] * weights[:, :, None]).sum(axis=1)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    return Roots(
        points=points[chosen].astype(np.float32),
        normals=outwards[chosen].astype(np.float32),
        inside=inside[chosen].astype(np.float32),
        corners=skin[triangle][chosen].astype(np.int32),
        weights=weights[chosen].astype(np.float32),
    )


def distance_field(head: Head, normals: NDArray[np.float32]) -> Field:
    """Near the skin the height over its nearest vertices' planes; further off the distance to the nearest."""
    axes = [np.linspace(low, high, GRID) for low, high in zip(LOW, HIGH, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    skin = np.unique(head.triangles[(head.parts == Part.SKIN) | (head.parts == Part.FACE)])
    far, near = cKDTree(head.vertices[skin]).query(points, k=4)
    heights = ((points[:, None] - head.vertices[skin][near]) * normals[skin][near]).sum(axis=-1).mean(axis=1)
    distance = np.where(np.abs(heights) < 1.0, heights, np.sign(heights) * far[:, 0]).reshape(GRID, GRID, GRID)
    distance = gaussian_filter(distance, 0.7)
    gradient = np.stack(np.gradient(distance, *[axis[1] - axis[0] for axis in axes]), axis=-1)
    gradient /= np.linalg.norm(gradient, axis=-1, keepdims=True) + 1e-6
    values = np.concatenate([distance[..., None], gradient], axis=-1)
    return Field(values.astype(np.float32), LOW.astype(np.float32), HIGH.astype(np.float32))


def brow_strands(head: Head) -> Brows:
    """Short strands along both brows, upright at the nose and flat at the temples."""
    points = head.vertices[head.landmarks]
    sides = [_brow(points[ids]) for ids in (RIGHT_BROW, LEFT_BROW)]
    strands = np.stack(sides, axis=1).reshape(-1, 3, 3)
    corners, weights = attach(head, strands.reshape(-1, 3))
    return Brows(corners.reshape(-1, 3, 3).astype(np.int32), weights.reshape(-1, 3, 3).astype(np.float32))


def _brow(line: NDArray[np.floating]) -> NDArray[np.floating]:
    """[BROW_STRANDS, 3 points, 3] along ``line`` [5, 3], from the temple inwards."""
    random = np.random.default_rng(3)
    curve = spline(line) + np.array([0, -0.34, 0.05])
    along = np.clip(1 - random.random(BROW_STRANDS) ** 0.9, 0.02, 0.98)
    index = (along * 199).astype(int)
    outward = curve[np.clip(index - 2, 0, 199)] - curve[np.clip(index + 2, 0, 199)]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    off = np.interp(along, [0, 0.15, 0.6, 0.9, 1.0], [0.08, 0.2, 0.36, 0.42, 0.34]) * random.uniform(
        -1, 1, BROW_STRANDS
    )
    up = np.array([0.0, 1.0, 0.0])
    rise = np.interp(along, [0, 0.6, 0.85, 1], [-0.05, 0.15, 0.45, 0.9]) - off / 0.45 * 0.55
    direction = outward + up * rise[:, None]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = np.interp(along, [0, 0.8, 1], [0.5, 0.8, 0.6]) * random.uniform(0.7, 1.3, BROW_STRANDS)
    start = curve[index] + up * off[:, None]
    steps = [start + direction * (length * k / 2)[:, None] - up * 0.05 * (k / 2) ** 2 for k in range(3)]
    return np.stack(steps, axis=1)


def attach(head: Head, points: NDArray[np.floating]) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """The corners [N, 3] of the face's nearest triangles and the points' places [N, 3] in them."""
    face = head.triangles[head.parts == Part.FACE]
    corners = head.vertices[face].astype(np.float64)
    _, candidates = cKDTree(corners.mean(axis=1)).query(points, k=12)
    a, b, c = np.moveaxis(corners[candidates], 2, 0)  # [N, 12, 3] each
    u, v, w = b - a, c - a, points[:, None] - a
    uu, uv, vv, wu, wv = (np.einsum("nkd,nkd->nk", p, q) for p, q in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    determinant = uu * vv - uv**2 + 1e-12
    y, z = np.clip((vv * wu - uv * wv) / determinant, 0, 1), np.clip((uu * wv - uv * wu) / determinant, 0, 1)
    beyond = np.maximum(y + z, 1)
    y, z = y / beyond, z / beyond
    foot = a + u * y[..., None] + v * z[..., None]
    rows, best = np.arange(len(points)), np.linalg.norm(foot - points[:, None], axis=2).argmin(axis=1)
    y, z = y[rows, best], z[rows, best]
    return face[candidates[rows, best]], np.stack([1 - y - z, y, z], axis=1)
