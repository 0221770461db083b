# SPDX-License-Identifier: Apache-2.0
"""What pose and expression make landmarks lie where they are wanted: regularised least squares.

A shape is X(c) = rest + Σ c_k D_k, seen under a rotation. Both are found by a few damped Gauss–Newton steps
from where they stand; controls stay within their ranges, and whatever the landmarks do not say stays put.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEPS = 6
_POSITION = 0.01  # how far off a wanted landmark may be, in head units: what costs one
_CONTROL = 0.5  # change of a control that costs one
TURN = np.radians(12.0)  # turn of the head that costs one


@dataclass(frozen=True, slots=True)
class Shape:
    """A face's deformations in some frame: ``rest`` [L, 3] and what each control adds, ``directions`` [C, L, 3]."""

    rest: Array
    directions: Array
    low: Array  # [C]
    high: Array  # [C]

    def points(self, controls: Array) -> Array:
        return self.rest + np.tensordot(controls, self.directions, 1)


@dataclass(frozen=True, slots=True)
class Solution:
    controls: Array  # [C]
    rotation: Array  # [3, 3], local → view
    error: float  # largest distance of a wanted landmark from where it lies, head units


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

    ``rotation`` takes the shape's frame to the view's (x right, y up, z to the viewer). ``may_change`` says
    whether the controls may move too; see dragging.express for what moves them alone. ``turn``: how many radians cost
    one, about each of the view's axes.
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
    """[n, 2, 3]: how points seen at ``points`` [n, 3] move for a small turn about x, y and z."""
    x, y, z = points.T
    zero = np.zeros_like(x)
    return np.stack([np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1)], axis=1)


def bounded(J: Array, error: Array, weights: Array, prior: Array, low: Array, high: Array) -> Array:
    """The step x with the least |J x − error|² + |weights · x − prior|², each of its values from ``low`` to ``high``.

    Values that would leave their range go to its end, and the rest is solved again.
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
    """The Cayley transform [3, 3] of a step of the turn: (I − K/2)⁻¹ (I + K/2), where K x = ``vector`` × x.

    A rotation about ``vector``, by its length to second order: steps towards a solution get smaller.
    """
    x, y, z = (0.5 * vector).tolist()
    half = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.linalg.solve(np.eye(3) - half, np.eye(3) + half)


def fit_view(
    shape: Shape, controls: Array, rotation: Array, picture: Array, rounds: int = 4
) -> tuple[Solution, float, Array]:
    """Explains all landmarks of a picture, ``picture`` [L, 2] (right, up; any unit), by pose, controls and a camera.

    Returns the solution, the camera's scale and its shift [2]: picture ≈ scale · (R X)_xy + shift. Frames where
    nothing was found (NaN) must not be given.
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
