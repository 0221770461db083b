# SPDX-License-Identifier: Apache-2.0
"""What a hand means that drags a point of a face: an expression, or a turn of the head.

The nose, the chin and the jaw line turn the head, as one takes somebody's head in the hand. Every other point is moved
by expression alone, and mostly by the controls that can move it farthest the way the hand goes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .follow import TURN, Array, Shape, bounded, follow, turning

_POSITION = 0.01  # how far off a dragged landmark may be along the hand's way, in head units: what costs one
_ASIDE = 0.2  # weight of what is off across that way: a corner of the mouth that is lifted may move outwards
_CONTROL = 0.5  # change of the control that moves the landmarks farthest, that costs one
_LEAST = 0.03  # head units: a landmark that no control moves farther stays
_ALIKE = 0.5  # cosine between the hand's way and a control's
_OFF = 1e-6

_IBUG_JAW, _IBUG_NOSE = range(17), range(27, 36)
# MediaPipe's face mesh: the lower part of its oval, and its nose.
_MEDIAPIPE = (
    *(127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356),
    *(168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 294, 278, 344, 440, 275, 45, 220, 115, 48, 64),
)
_HANDLES = {  # by the number of a mesh's landmarks
    68: frozenset((*_IBUG_JAW, *_IBUG_NOSE)),
    70: frozenset((*_IBUG_JAW, *_IBUG_NOSE)),
    468: frozenset(_MEDIAPIPE),
    478: frozenset(_MEDIAPIPE),
}


def turns_head(landmark: int, count: int) -> bool:
    """Whether dragging ``landmark``, of ``count``, is meant to turn the head: it is of the nose, chin or jaw line."""
    return landmark in _HANDLES.get(count, ())


def turn(shape: Shape, controls: Array, rotation: Array, landmarks: NDArray[np.intp], wanted: Array) -> Array:
    """The rotation [3, 3] that brings ``landmarks`` to ``wanted``, as ``express`` has them, by the head's turn alone.

    The head turns most about the axes that move the landmarks farthest the way the hand goes, so that the tip of the
    nose turns and nods it, and the chin or the jaw tilts it. What lies behind its middle only tilts it, or it would
    go to the other side than the hand.
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


def express(shape: Shape, controls: Array, rotation: Array, landmarks: NDArray[np.intp], wanted: Array) -> Array:
    """The controls [C] that bring ``landmarks`` [n] to ``wanted`` [n, 2] (right and up in the view), from ``controls``.

    With D the landmarks' moves [2n, C] in the picture and e the hand's way, control k moves them m_k = max |D_k c| at
    all, and from where it stands r_k = max (e·D_k) c along that way, c up to its ends. It may change by
    _CONTROL · (r_k / r_max)² · m_k / m_max at a cost of one, and not at all where it goes more than 60° off that way.
    ``rotation`` takes the shape's frame to the view's.
    """
    seen = shape.points(controls)[landmarks] @ rotation.T
    way = wanted - seen[:, :2]
    length = float(np.linalg.norm(way))
    if length < _OFF or not len(controls):
        return controls
    D = np.moveaxis((shape.directions[:, landmarks] @ rotation.T)[..., :2], 0, 2)  # [n, 2, C]
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
    e = way / np.maximum(each, _OFF)  # each landmark's own way
    weigh = e[:, :, None] * e[:, None, :]
    weigh = weigh + _ASIDE * (np.eye(2) - weigh)
    J = (weigh @ D).reshape(-1, len(controls)) / _POSITION
    error = (weigh @ way[..., None]).reshape(-1) / _POSITION
    return controls + bounded(J, error, 1 / spread, np.zeros(len(controls)), low, high)
