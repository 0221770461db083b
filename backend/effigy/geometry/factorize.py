# SPDX-License-Identifier: Apache-2.0
"""The rigid start: rank-3 factorisation of all views and its metric upgrade.

Tomasi and Kanade, *Shape and Motion from Image Streams under Orthography*, IJCV 1992; the upgrade for
weak perspective follows Poelman and Kanade, PAMI 1997.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .camera import Array, Camera, nearest_rotation

_FILL_ROUNDS = 8
_UPGRADE_ROUNDS = 10
_TURN = 1.3  # of the third singular value to the fourth: up to 1.2 where nothing turns, 1.8 where faces turn by 4°


class GeometryError(Exception):
    """Landmarks, or names of expressions, that give no shape model; the message says why."""


def rigid_start(W: Array, weights: Array) -> tuple[Array, Camera, dict[str, Any]]:
    """Returns mean shape [3, L] and cameras of picture points W [N, 2, L], up to a rotation and a mirror image, and
    diagnostics.

    ``depth_observability`` in the diagnostics says how well the views determine depth: the ratio of the smallest to the
    largest eigenvalue of the metric. Raises GeometryError if the views show the face from too few sides.
    """
    centred, t = _centre(W, weights)
    _check_turn(centred)
    motion, shape = _rank3(centred)
    upgrade, observability = _metric_upgrade(motion)
    motion, shape = motion @ upgrade, np.asarray(np.linalg.solve(upgrade, shape), dtype=np.float64)
    a, b = motion[:, 0], motion[:, 1]
    s = 0.5 * (np.linalg.norm(a, axis=1) + np.linalg.norm(b, axis=1))
    R = nearest_rotation(np.stack([a, b, np.cross(a, b) / s[:, None]], axis=1))
    size = float(np.median(s))
    return shape * size, Camera(R, s / size, t), {"depth_observability": observability}


def _centre(W: Array, weights: Array) -> tuple[Array, Array]:
    """Returns centred points with y upwards [N, 2, L] and their centres [N, 2]; missing points are filled at rank 3."""
    seen = weights[:, None] > 0
    upward = W * np.array([1.0, -1.0])[:, None]
    total = weights.sum(axis=1)[:, None]
    centre = (upward * weights[:, None]).sum(axis=2) / total
    centred = np.where(seen, upward - centre[:, :, None], 0.0)
    if not seen.all():
        for _ in range(_FILL_ROUNDS):
            motion, shape = _rank3(centred - centred.mean(axis=2, keepdims=True))
            model = motion @ shape
            centre = (np.where(seen, upward - model, 0.0) * weights[:, None]).sum(axis=2) / total
            centred = np.where(seen, upward - centre[:, :, None], model)
        centre = centre + centred.mean(axis=2)
        centred = centred - centred.mean(axis=2, keepdims=True)
    return centred, centre * [1, -1]


def _check_turn(centred: Array) -> None:
    """Raises GeometryError where the views hold no third dimension: in a plane, points span two."""
    flat = centred.reshape(-1, centred.shape[2])
    first, third, fourth = np.sqrt(np.maximum(np.linalg.eigvalsh(flat.T @ flat)[[-1, -3, -4]], 0.0))
    if third <= max(_TURN * fourth, 1e-7 * first):
        raise GeometryError(
            "the depth is not observable: the views show no more of a turn than of noise and expressions "
            f"(singular values 3 and 4 are {third / first:.2g} and {fourth / first:.2g} of the first); "
            "give views with more turn"
        )


def _rank3(centred: Array) -> tuple[Array, Array]:
    """Computes the best rank-3 factors, motion [N, 2, 3] and shape [3, L], by the Gram matrix over landmarks."""
    flat = centred.reshape(-1, centred.shape[2])
    values, vectors = np.linalg.eigh(flat.T @ flat)
    shape = vectors[:, ::-1][:, :3].T * np.sqrt(np.maximum(values[::-1][:3], 1e-30))[:, None] / np.sqrt(len(flat))
    motion = flat @ vectors[:, ::-1][:, :3] / np.sqrt(np.maximum(values[::-1][:3], 1e-30)) * np.sqrt(len(flat))
    return motion.reshape(-1, 2, 3), shape


def _metric_upgrade(motion: Array) -> tuple[Array, float]:
    """Returns the A [3, 3] that makes the rows of ``motion`` @ A orthogonal and of equal length in every view.

    Q = A Aᵀ has six unknowns and enters linearly; views are weighed by 1/scale² of the last round.
    """
    a, b = motion[:, 0], motion[:, 1]
    across, difference, size = (
        _quadratic(a, b),
        _quadratic(a, a) - _quadratic(b, b),
        _quadratic(a, a) + _quadratic(b, b),
    )
    scale = np.ones(len(motion))
    for _ in range(_UPGRADE_ROUNDS):
        rows = np.concatenate([2 * across, difference]) / np.tile(scale, 2)[:, None]
        norm = (size / scale[:, None]).mean(axis=0)
        normal = rows.T @ rows
        q = np.linalg.solve(normal + 1e-12 * np.trace(normal) * np.eye(6), norm)
        q /= norm @ q
        scale = np.maximum(size @ q, 1e-3 * np.median(np.abs(size @ q)))
    Q = np.array([[q[0], q[1], q[2]], [q[1], q[3], q[4]], [q[2], q[4], q[5]]])
    values, vectors = np.linalg.eigh(Q)
    if values[0] <= 1e-4 * values[2]:
        raise GeometryError(
            "the depth is not observable: the views show the face from too few sides "
            f"(eigenvalues of the metric {values[0]:.2g}, {values[1]:.2g}, {values[2]:.2g}); give views with more turn"
        )
    return vectors * np.sqrt(values), float(values[0] / values[2])


def _quadratic(a: Array, b: Array) -> Array:
    """Rows r [N, 6] with r · q = aᵀ Q b for symmetric Q = (q0 q1 q2; q1 q3 q4; q2 q4 q5)."""
    x, y, z = a.T
    u, v, w = b.T
    return np.stack([x * u, x * v + y * u, x * w + z * u, y * v, y * w + z * v, z * w], axis=1)
