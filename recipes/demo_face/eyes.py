# SPDX-License-Identifier: Apache-2.0
"""Turns the eyes. The head model's eyeLook shapes move only the lids. Its eyeballs are spheres, so painting the iris
around the axis of the gaze looks like a turned eyeball.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .head import Head, Part

IRIS_RADIUS = 0.485  # of the eyeball's
APART = np.radians(2.0)  # each eye outwards, towards the opening of the lids; with 0 people look cross-eyed


def eye_centres(head: Head) -> NDArray[np.float32]:
    """Returns [2, 3] the centres of the right and the left eyeball."""
    eyes = head.vertices[np.unique(head.triangles[head.parts == Part.EYE])]
    balls = [eyes[eyes[:, 0] < 0], eyes[eyes[:, 0] > 0]]
    return np.stack([(ball.min(axis=0) + ball.max(axis=0)) / 2 for ball in balls]).astype(np.float32)


def eye_vertices(head: Head) -> NDArray[np.intp]:
    """Returns [2] one vertex of each eyeball, right and left; all vertices of an eyeball move alike."""
    ids = np.unique(head.triangles[head.parts == Part.EYE])
    x = head.vertices[ids, 0]
    return np.array([ids[x.argmin()], ids[x.argmax()]])


def eye_radius(head: Head) -> float:
    """Returns the radius of an eyeball (cm)."""
    eyes = head.vertices[np.unique(head.triangles[head.parts == Part.EYE])]
    return float(np.ptp(eyes[eyes[:, 0] > 0, 1]) / 2)


def axes(gaze: NDArray[np.floating]) -> NDArray[np.float32]:
    """Maps ``gaze`` [2] (radians to the head's left and up) to unit vectors [2, 3] in head space, right eye first."""
    left, up = gaze
    aside = np.array([left - APART, left + APART])
    return np.stack([np.sin(aside) * np.cos(up), np.full(2, np.sin(up)), np.cos(aside) * np.cos(up)], axis=1).astype(
        np.float32
    )
