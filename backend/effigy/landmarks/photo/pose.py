# SPDX-License-Identifier: Apache-2.0
"""Computes the pose of a face: the similarity that maps MediaPipe's canonical face onto its points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...array_files import read_arrays
from ..detector import DetectorError
from .crop import Array, Crop

_CANONICAL = Path(__file__).with_name("networks") / "canonical_face.npz"
_EYES = (33, 263)  # outer corners


@dataclass(frozen=True, slots=True)
class Head:
    """A head's pose, and its points with that pose undone."""

    R: Array  # [3, 3], which turns a face that looks ahead (x to the picture's right, y up, z to the viewer)
    size: float  # pixels of an average face's outer-eye distance, the unit of what follows
    points: Array  # [3, 478], the face turned to look ahead
    residual: float  # root-mean-square distance of the points that hardly move from an average face's


def head(points: Array) -> Head:
    """Fits the canonical face to ``points`` [478, 3] of a ``Face``. Raises DetectorError if its file is missing."""
    mean, chosen, weights = _canonical()
    seen = points.T * np.array([[1.0], [-1.0], [-1.0]])
    X, Y = mean[:, chosen], seen[:, chosen]
    x0, y0 = (values @ weights for values in (X, Y))
    X, Y = X - x0[:, None], Y - y0[:, None]
    # Kabsch and Umeyama: the similarity with the least weighted squares.
    U, S, Vt = np.linalg.svd((Y * weights) @ X.T)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))])
    R = (U * signs) @ Vt
    size = max(float((S * signs).sum() / ((X**2) @ weights).sum()), 1e-6)
    frontal = R.T @ (seen - y0[:, None]) / size + x0[:, None]
    off = frontal[:, chosen] - mean[:, chosen]
    return Head(R, size, frontal, float(np.sqrt(((off**2) @ weights).sum())))


def onto(points: Array, wanted: Array) -> Crop:
    """Returns the crop over which ``points`` [478, ≥ 2], in pixels, come to lie at ``wanted`` [478, ≥ 2], in [0, 1].

    It is the similarity with the least weighted squares (Umeyama 1991) over the points that hardly move in a face.
    Raises DetectorError.
    """
    _, chosen, weights = _canonical()
    X, Y = wanted[chosen, :2], points[chosen, :2]
    x0, y0 = weights @ X, weights @ Y
    X, Y = X - x0, Y - y0
    # With points as complex numbers, rotation and scale are one factor.
    a, b = (points @ np.array([1, 1j]) for points in (X, Y))
    factor = complex((weights * a.conj()) @ b) / max(float(weights @ np.abs(a) ** 2), 1e-12)
    centre = complex(*y0) + factor * (0.5 + 0.5j - complex(*x0))
    return Crop(centre.real, centre.imag, max(abs(factor), 1e-6), math.atan2(factor.imag, factor.real))


@cache
def mirror() -> NDArray[np.int64]:
    """Returns the number of each point's mirror image on the other side of the face, [478]. Raises DetectorError.

    The average face is symmetric. The points of each iris are its centre and its right, upper, left and lower edge, as
    the picture shows them.
    """
    mean, _, _ = _canonical()
    apart = mean[:, :, None] * [[[-1.0]], [[1.0]], [[1.0]]] - mean[:, None]
    irises = [*(473 + edge for edge in (0, 3, 2, 1, 4)), *(468 + edge for edge in (0, 3, 2, 1, 4))]
    return np.concatenate([(apart**2).sum(axis=0).argmin(axis=1), irises])


def average() -> Array:
    """Returns MediaPipe's average face [3, 468], which looks ahead; the unit is the outer-eye distance.

    Raises DetectorError.
    """
    return _canonical()[0]


@cache
def _canonical() -> tuple[Array, list[int], Array]:
    """Returns the average face [3, 468], its points that hardly move, and their weights of sum 1.

    The unit is the outer-eye distance. Raises DetectorError.
    """
    try:
        arrays = read_arrays(_CANONICAL)
        vertices, table = (arrays[name].astype(np.float64) for name in ("vertices", "procrustes"))
    except (ValueError, KeyError) as error:
        raise DetectorError(f"{_CANONICAL} cannot be read ({error}): install Effigy again") from None
    vertices = vertices / np.linalg.norm(vertices[_EYES[1]] - vertices[_EYES[0]])
    return vertices.T, [int(number) for number in table[:, 0]], table[:, 1] / table[:, 1].sum()
