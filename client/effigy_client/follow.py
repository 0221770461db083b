# SPDX-License-Identifier: Apache-2.0
"""Finds the rotation and controls that move landmarks to given places, by regularised least squares.

The shape is X(c) = rest + Σ c_k D_k, seen under a rotation R. A few damped Gauss–Newton steps from the present R0, c0
minimise |(wanted − R X(c)) / _POSITION|² + |turn from R0 / TURN|² + |(c − c0) / _CONTROL|², with c within its ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEPS = 6
# Errors and changes that cost 1:
_POSITION = 0.01  # of a landmark, in head units
_CONTROL = 0.5  # of a control
TURN = np.radians(12.0)  # of the head


@dataclass(frozen=True, slots=True)
class Shape:
    """A face's shape in some frame, as a function of its controls."""

    rest: Array  # [L, 3]
    directions: Array  # [C, L, 3], what one unit of each control adds
    low: Array  # [C]
    high: Array  # [C]

    def points(self, controls: Array) -> Array:
        """Returns the landmarks [L, 3] for ``controls`` [C]."""
        return self.rest + np.tensordot(controls, self.directions, 1)


@dataclass(frozen=True, slots=True)
class Solution:
    """What ``follow`` found."""

    controls: Array  # [C]
    rotation: Array  # [3, 3], from the shape's frame to the view's
    error: float  # the largest distance of a landmark from its place, in head units


def follow(
    shape: Shape,
    controls: Array,
    rotation: Array,
    landmarks: NDArray[np.intp],
    wanted: Array,
    *,
    may_change: bool = True,
    turn: Array | float = TURN,
) -> Solution:
    """Moves ``landmarks`` [n] (indices) to ``wanted`` [n, 2] (right and up in the view, from the head's origin).

    Args:
        shape: the face.
        controls: its present controls c0, [C].
        rotation: R0 [3, 3], from the shape's frame to the view's (x right, y up, z to the viewer).
        landmarks: their numbers, [n].
        wanted: their places, [n, 2].
        may_change: whether controls may change too. ``dragging.express`` changes controls alone.
        turn: radians that cost 1, for all of the view's axes or for each, [3].
    """
    start = controls
    turned = np.zeros(3)
    wanted_change = np.full(len(controls), _CONTROL if may_change else 1e-6)
    ends = ((-np.inf, shape.low), (np.inf, shape.high))
    for _ in range(_STEPS):
        points = shape.points(controls)[landmarks] @ rotation.T
        moves = shape.directions[:, landmarks] @ rotation.T
        J = np.concatenate([turning(points), np.moveaxis(moves[..., :2], 0, 2)], axis=2).reshape(-1, 3 + len(controls))
        error = (wanted - points[:, :2]).reshape(-1)
        prior = np.concatenate([-turned / turn, (start - controls) / wanted_change])
        weights = np.concatenate([np.ones(3) / turn, 1 / wanted_change])
        low, high = (np.concatenate([np.full(3, end), limit - controls]) for end, limit in ends)
        step = bounded(J / _POSITION, error / _POSITION, weights, prior, low, high)
        rotation = _rotation(step[:3]) @ rotation
        turned = turned + step[:3]
        controls = np.clip(controls + step[3:], shape.low, shape.high)
    left = wanted - (shape.points(controls)[landmarks] @ rotation.T)[:, :2]
    return Solution(controls, rotation, float(np.linalg.norm(left, axis=1).max(initial=0.0)))


def turning(points: Array) -> Array:
    """Returns the derivative [n, 2, 3] of the first two coordinates of ``points`` [n, 3] by turns about x, y and z."""
    x, y, z = points.T
    zero = np.zeros_like(x)
    return np.stack([np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1)], axis=1)


def bounded(J: Array, error: Array, weights: Array, prior: Array, low: Array, high: Array) -> Array:
    """Returns the x that minimises |J x − error|² + |weights · x − prior|² with ``low`` ≤ x ≤ ``high``, nearly.

    Values that would leave their range are fixed at its end, and the others are solved for again.
    """
    free = np.ones(len(weights), dtype=bool)
    step = np.zeros(len(weights))
    for _ in range(len(weights)):
        A = np.concatenate([J[:, free], np.diag(weights)[:, free]])
        b = np.concatenate([error - J[:, ~free] @ step[~free], prior - np.diag(weights)[:, ~free] @ step[~free]])
        step[free] = np.linalg.lstsq(A, b, rcond=None)[0]
        beyond = free & ((step < low - 1e-9) | (step > high + 1e-9))
        if not beyond.any():
            break
        step[beyond] = np.clip(step[beyond], low[beyond], high[beyond])
        free &= ~beyond
    return step


def _rotation(vector: Array) -> Array:
    """Returns the rotation [3, 3] of a small step: the Cayley transform (I − K/2)⁻¹ (I + K/2), K x = ``vector`` × x.

    It turns about ``vector`` by its length in radians, up to second order, which is enough as steps get smaller.
    """
    x, y, z = (0.5 * vector).tolist()
    half = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.linalg.solve(np.eye(3) - half, np.eye(3) + half)


def fit_view(
    shape: Shape, controls: Array, rotation: Array, picture: Array, rounds: int = 12
) -> tuple[Solution, float, Array]:
    """Fits pose, controls and a camera to all landmarks of a picture, ``picture`` [L, 2] (right, up; in any unit).

    Returns the solution, and the camera's scale and shift [2]: picture ≈ scale · (R X)_xy + shift. All landmarks must
    be finite.
    """
    everything = np.arange(len(shape.rest), dtype=np.intp)
    solution = Solution(controls, rotation, np.inf)
    scale, shift = 1.0, np.zeros(2)
    for _ in range(rounds):
        seen = (shape.points(solution.controls) @ solution.rotation.T)[:, :2]
        middle, target = seen.mean(axis=0), picture.mean(axis=0)
        scale = float(np.linalg.norm(picture - target)) / max(float(np.linalg.norm(seen - middle)), 1e-9)
        shift = target - scale * middle
        solution = follow(shape, solution.controls, solution.rotation, everything, (picture - shift) / scale)
    return solution, scale, shift
