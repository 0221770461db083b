# SPDX-License-Identifier: Apache-2.0
"""Finds a direction of the head model's identity modes that turns a man's head into a woman's.

The model has no such direction. Anthropometry lists differences (Farkas, *Anthropometry of the Head and Face*,
1994; at equal head size: a narrower jaw and chin, a smaller nose, brows higher over a flatter ridge, fuller lips,
larger eyes, a slenderer neck). The direction is the smallest combination of modes that makes them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Women minus men, in cm: a weighted sum of landmark coordinates (landmark, axis, weight), and its difference.
DIFFERENCES: tuple[tuple[tuple[tuple[int, int, float], ...], float], ...] = (
    (((12, 0, 1), (4, 0, -1)), -0.75),  # jaw's width
    (((11, 0, 1), (5, 0, -1)), -0.80),
    (((10, 0, 1), (6, 0, -1)), -0.70),  # chin's width
    (((8, 1, 1), (57, 1, -1)), 0.35),  # chin's height
    (((8, 2, 1), (57, 2, -1)), -0.20),  # and how far it stands out
    (((4, 1, 1), (48, 1, -1), (12, 1, 1), (54, 1, -1)), 0.5),  # jaw's corners, higher
    (((35, 0, 1), (31, 0, -1)), -0.28),  # nose's width
    (((30, 2, 1), (33, 2, -1)), -0.10),  # and how far it stands out
    (((28, 2, 1), (39, 2, -0.5), (42, 2, -0.5)), -0.22),
    (((30, 1, 1), (33, 1, -1)), 0.06),  # its tip turned up
    (((19, 1, 1), (37, 1, -1), (24, 1, 1), (44, 1, -1)), 0.5),  # brows over the lids
    (((19, 2, 1), (37, 2, -1), (24, 2, 1), (44, 2, -1)), -0.5),  # brow ridge
    (((51, 1, 1), (57, 1, -1)), 0.14),  # lips
    (((62, 2, 1), (33, 2, -1)), 0.10),
    (((37, 1, 1), (41, 1, -1), (44, 1, 1), (46, 1, -1)), 0.22),  # eyes' height
    (((27, 1, 1), (8, 1, -1)), -0.45),  # face's height
    (((14, 0, 1), (2, 0, -1)), -0.15),  # cheeks keep their width
    (((45, 0, 1), (36, 0, -1)), 0.0),  # eyes keep their places
    (((39, 0, -1), (42, 0, 1)), 0.0),
)
STIFFNESS = 0.008  # cm²: the cost of one squared standard deviation of a mode
MORE = 1.2  # times the average difference, so that people recognise a woman's or a man's head
# The neck: how much narrower, and between which heights (cm).
NECK_NARROWER, NECK_TOP, NECK_BASE, NECK_AXIS = 0.13, -6.5, -15.5, -1.0


def female_direction(
    vertices: NDArray[np.float32], landmarks: NDArray[np.int32], modes: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Returns [V, 3] cm, man to woman, by identity ``modes`` [M, V, 3] and the ``landmarks``' vertices [68]."""
    measured = np.zeros((len(DIFFERENCES), len(modes)))
    for row, (terms, _) in enumerate(DIFFERENCES):
        for landmark, axis, weight in terms:
            measured[row] += weight * modes[:, landmarks[landmark], axis]
    wanted = np.array([difference for _, difference in DIFFERENCES])
    gram = measured @ measured.T + STIFFNESS * np.eye(len(wanted))
    direction = MORE * np.tensordot(measured.T @ np.linalg.solve(gram, wanted), modes, 1)
    return (direction + slenderer_neck(vertices)).astype(np.float32)


def slenderer_neck(vertices: NDArray[np.float32]) -> NDArray[np.floating]:
    """Returns [V, 3] cm towards the neck's axis, most between jaw and shoulders."""
    height = np.clip((vertices[:, 1] - NECK_BASE) / (NECK_TOP - NECK_BASE), 0, 1)
    share = NECK_NARROWER * np.sin(np.pi * height) ** 2 * np.clip((7.5 - vertices[:, 2]) / 3.0, 0, 1)
    towards = np.array([0.0, 0.0, NECK_AXIS]) - vertices
    towards[:, 1] = 0
    return share[:, None] * towards
