# SPDX-License-Identifier: Apache-2.0
"""Measures whether dark and light faces are treated alike: figures for thirds of people, by lightness of skin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from effigy.faces.face import FaceModel
from effigy.fitting.evaluation import FIRST_SEED, Judge, Part, Trial

THIRDS = ("dark", "middle", "light")


@dataclass(frozen=True, slots=True)
class Third:
    """Errors in degrees and in percent of the outer-eye distance; means over people and their turns."""

    yaw: float
    pitch: float
    landmarks: float
    similarity: float


def fairness(model: FaceModel, judge: Judge, progress: Callable[[int], None] = lambda done: None) -> dict[str, Third]:
    """Turns ``judge.identities`` unseen people at truncation 1 (full variety); returns a result for each of THIRDS."""
    random = np.random.default_rng(0)
    lightness, turns = [], []
    for number in range(judge.identities):
        anchor = model.open_seed(FIRST_SEED + number, truncation=1.0)
        picture = model.paint(anchor.ws[None])[0]
        middle = slice(picture.shape[0] * 3 // 8, picture.shape[0] * 5 // 8)
        lightness.append(float(picture[middle, middle].mean()))
        turns.append(Trial(model, judge, anchor).turn(random))
        progress(number + 1)
    parts = np.array_split(np.argsort(lightness), len(THIRDS))
    return {name: _third([turns[person] for person in part]) for name, part in zip(THIRDS, parts, strict=True)}


def _third(turns: list[Part]) -> Third:
    errors = np.abs(np.concatenate([turn.found - turn.asked for turn in turns]))
    return Third(
        yaw=float(errors[:, 0].mean()),
        pitch=float(errors[:, 1].mean()),
        landmarks=float(np.mean([value for turn in turns for value in turn.nme])),
        similarity=float(np.mean([value for turn in turns for value in turn.similarities])),
    )
