# SPDX-License-Identifier: Apache-2.0
"""Turns the drag of a point of a face into a turn of the head, or into an expression.

Dragging the nose, the chin or the jaw line turns the head. Every other point is moved by expression alone, and mostly
by the controls that can move it farthest in the direction of the drag.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .follow import TURN, Array, Shape, bounded, follow, turning

_POSITION = 0.01  # error of a dragged landmark along the drag that costs 1, in head units
_ASIDE = 0.2  # weight of the error across the drag: a corner of the mouth that is lifted may move outwards
_CONTROL = 0.5  # change that costs 1, of the control that moves the landmarks farthest
_LEAST = 0.03  # head units; landmarks that no control moves farther are not moved
_ALIKE = 0.5  # least cosine between the drag and a control's motion
_OFF = 1e-6

_IBUG_JAW, _IBUG_NOSE = range(17), range(27, 36)
# MediaPipe's face mesh: the lower part of its oval, and its nose.
_MEDIAPIPE = (
    *(127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356),
    *(168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 294, 278, 344, 440, 275, 45, 220, 115, 48, 64),
)
_HANDLES = {  # landmarks that turn the head, by the number of landmarks of the mesh
    68: frozenset((*_IBUG_JAW, *_IBUG_NOSE)),
    70: frozenset((*_IBUG_JAW, *_IBUG_NOSE)),
    468: frozenset(_MEDIAPIPE),
    478: frozenset(_MEDIAPIPE),
}
_IRISES = {70: frozenset((68, 69)), 478: frozenset(range(468, 478))}
_GAZE = ("gaze", "eyeLook")  # how the names of controls that turn eyes begin


def turns_head(landmark: int, count: int) -> bool:
    """Returns whether dragging ``landmark`` of ``count`` turns the head: it is of the nose, chin or jaw line."""
    return landmark in _HANDLES.get(count, ())


def may_move(names: Iterable[str], landmark: int, count: int) -> NDArray[np.bool_]:
    """Returns which of the controls ``names`` dragging ``landmark`` of ``count`` may move, [C].

    Lids follow where eyes look, but who lifts a lid opens the eye: only an iris leads the gaze.
    """
    leads = landmark in _IRISES.get(count, ())
    return np.array([leads or not name.startswith(_GAZE) for name in names], np.bool_)


def turn(shape: Shape, controls: Array, rotation: Array, landmarks: NDArray[np.intp], wanted: Array) -> Array:
    """Returns the rotation [3, 3] that moves ``landmarks`` [n] towards ``wanted`` [n, 2] by turning the head alone.

    The arguments are those of ``express``. With r_a how far a turn about axis a moves the landmarks along the drag, a
    turn of TURN · (r_a / r_max)² about it costs 1. So the tip of the nose turns the head sideways and up, and the chin
    or the jaw rolls it. Landmarks behind the head's middle only roll it, because a turn would move them against the
    drag.
    """
    seen = shape.points(controls)[landmarks] @ rotation.T
    way = wanted - seen[:, :2]
    reach = np.abs(way.reshape(-1) @ turning(seen).reshape(-1, 3))
    if seen[:, 2].mean() < 0:
        reach[:2] = 0.0
    if reach.max() < _OFF:
        return rotation
    spread = np.maximum(TURN * (reach / reach.max()) ** 2, _OFF)
    return follow(shape, controls, rotation, landmarks, wanted, may_change=False, turn=spread).rotation


def express(
    shape: Shape,
    controls: Array,
    rotation: Array,
    landmarks: NDArray[np.intp],
    wanted: Array,
    may: NDArray[np.bool_] | None = None,
) -> Array:
    """Returns the controls [C] that move ``landmarks`` [n] towards ``wanted`` [n, 2] (right and up in the view).

    ``controls`` [C] are the present values, ``may`` [C] says which may change (None: all), and ``rotation`` takes the
    shape's frame to the view's. Let D [2n, C] be the landmarks' motion per unit of each control, e the unit vector of
    the drag, m_k = |D_k| · max |c| the farthest that control k moves the landmarks within its range, and r_k the
    farthest that it moves them along e from its present value. A change of _CONTROL · (r_k / r_max)² · m_k / m_max
    costs 1. Controls that move the landmarks at more than 60° to e stay as they are.
    """
    seen = shape.points(controls)[landmarks] @ rotation.T
    way = wanted - seen[:, :2]
    length = float(np.linalg.norm(way))
    if length < _OFF or not len(controls):
        return controls
    D = np.moveaxis((shape.directions[:, landmarks] @ rotation.T)[..., :2], 0, 2)  # [n, 2, C]
    if may is not None:
        D = D * may
    low, high = shape.low - controls, shape.high - controls
    along = (way / length).reshape(-1) @ D.reshape(-1, len(controls))
    reach = np.maximum(along * low, along * high)
    size = np.linalg.norm(D.reshape(-1, len(controls)), axis=0)
    reach[np.abs(along) < _ALIKE * size] = 0.0
    most = size * np.maximum(-shape.low, shape.high)
    if most.max() < _LEAST or reach.max() < _OFF:
        return controls
    spread = np.maximum(_CONTROL * (reach / reach.max()) ** 2 * most / most.max(), _OFF)
    each = np.linalg.norm(way, axis=1, keepdims=True)
    e = way / np.maximum(each, _OFF)  # the direction of each landmark's own drag
    weigh = e[:, :, None] * e[:, None, :]
    weigh = weigh + _ASIDE * (np.eye(2) - weigh)
    J = (weigh @ D).reshape(-1, len(controls)) / _POSITION
    error = (weigh @ way[..., None]).reshape(-1) / _POSITION
    return controls + bounded(J, error, 1 / spread, np.zeros(len(controls)), low, high)
