# SPDX-License-Identifier: Apache-2.0
"""What ``recipes.photo.straightening`` learns of a network that shows too little of a nod."""

from __future__ import annotations

import numpy as np

from effigy.landmarks.photo.pose import average
from effigy.landmarks.photo.straightening import rotation
from recipes.photo.straightening import learn

FACE = np.concatenate([average(), average()[:, :10]], axis=1)  # where irises are does not matter
SHOWN = 0.7  # of a nod, in the picture; its depth shows all of it


def points_of(yaw: float, pitch: float) -> np.ndarray:
    """[478, 3] in pixels."""
    flat, deep = (rotation(yaw, nod, 0.05) @ FACE for nod in (SHOWN * pitch, pitch))
    return 40 * np.stack([flat[0], -flat[1], -deep[2]], axis=1)


def test_nods_that_are_shown_too_small_are_learnt_to_be_larger():
    turns = np.random.default_rng(0).uniform(-0.4, 0.4, (60, 2))
    learnt = learn(np.stack([points_of(*turn) for turn in turns]), turns)
    for yaw, pitch in ((0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (-0.2, -0.25)):
        wanted = centred(40 * (rotation(yaw, pitch, 0.05) @ FACE).T * [1, -1, -1])
        straight, found = learnt.straightened(points_of(yaw, pitch)), points_of(yaw, pitch)
        off, was = (np.abs(centred(points) - wanted).max() for points in (straight, found))
        assert off < 1, "of 40 pixels between the eyes"
        assert off < was / 2 or pitch == 0


def centred(points: np.ndarray) -> np.ndarray:
    """Of [478, ≥ 2], the points of the average face in the picture."""
    return points[:468, :2] - points[:468, :2].mean(axis=0)
