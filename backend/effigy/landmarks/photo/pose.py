# SPDX-License-Identifier: Apache-2.0
"""The pose of a face that was read: the similarity transform that brings MediaPipe's canonical face onto its points."""

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
    """A head's pose, and its points without it.

    ``R`` [3, 3] turns a face that looks ahead (x to the picture's right, y up, z towards the viewer) as the picture's
    is turned. ``size``: pixels of the distance between the outer eye corners of an average face. ``points`` [3, 478]:
    the face looking ahead, in that unit. ``residual``: how far the points that hardly move lie from an average face's,
    in that unit, root mean square.
    """

    R: Array
    size: float
    points: Array
    residual: float


def head(points: Array) -> Head:
    """``points`` [478, 3] as ``Face`` has them. Raises DetectorError where the canonical face is missing."""
    mean, chosen, weights, _ = _canonical()
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
    """Where the picture lies in which ``points`` [478, 2 …] are ``wanted`` [478, 2 …], in its width: x right, y down.

    The similarity with the least weighted squares (Umeyama 1991), over points that hardly move in a face. Raises
    DetectorError.
    """
    _, chosen, weights, _ = _canonical()
    X, Y = wanted[chosen, :2], points[chosen, :2]
    x0, y0 = weights @ X, weights @ Y
    X, Y = X - x0, Y - y0
    # As complex numbers a turn with its size is one factor.
    a, b = (points @ np.array([1, 1j]) for points in (X, Y))
    factor = complex((weights * a.conj()) @ b) / max(float(weights @ np.abs(a) ** 2), 1e-12)
    centre = complex(*y0) + factor * (0.5 + 0.5j - complex(*x0))
    return Crop(centre.real, centre.imag, max(abs(factor), 1e-6), math.atan2(factor.imag, factor.real))


def average_person() -> tuple[Array, Array]:
    """Scores [52] and points [3, 468] of an average person in a photograph, at rest and looking ahead, of unit size.

    Raises DetectorError.
    """
    mean, _, _, scores = _canonical()
    return scores, mean


@cache
def mirror() -> NDArray[np.int64]:
    """[478]: of each point the one on the other side of the face. Raises DetectorError.

    An average face is symmetric; of each iris the points are its centre and, by the picture, its right, upper, left and
    lower edge.
    """
    mean, _, _, _ = _canonical()
    apart = mean[:, :, None] * [[[-1.0]], [[1.0]], [[1.0]]] - mean[:, None]
    irises = [*(473 + edge for edge in (0, 3, 2, 1, 4)), *(468 + edge for edge in (0, 3, 2, 1, 4))]
    return np.concatenate([(apart**2).sum(axis=0).argmin(axis=1), irises])


@cache
def _canonical() -> tuple[Array, list[int], Array, Array]:
    """The average face [3, 468] of unit size, points of it that hardly move, their weights of sum 1, its scores [52].

    Raises DetectorError.
    """
    try:
        arrays = read_arrays(_CANONICAL)
        vertices, table, scores = (arrays[name].astype(np.float64) for name in ("vertices", "procrustes", "scores"))
    except (ValueError, KeyError) as error:
        raise DetectorError(f"{_CANONICAL} cannot be read ({error}): install Effigy again") from None
    vertices = vertices / np.linalg.norm(vertices[_EYES[1]] - vertices[_EYES[0]])
    return vertices.T, [int(number) for number in table[:, 0]], table[:, 1] / table[:, 1].sum(), scores
