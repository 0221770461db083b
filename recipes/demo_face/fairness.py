# SPDX-License-Identifier: Apache-2.0
"""Measures whether people are treated alike: figures for thirds of them by lightness of skin, and by the attribute
``female`` where a model has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effigy.faces.face import FaceModel
from effigy.faces.identity import Identity
from effigy.fitting.evaluation import FIRST_SEED, Judge, Part, Trial

BY_SKIN = ("dark", "middle", "light")
BY_SEX = ("male", "between", "female")


@dataclass(frozen=True, slots=True)
class Third:
    """Errors in degrees and in percent of the outer-eye distance; means over people and their turns."""

    yaw: float
    pitch: float
    landmarks: float
    similarity: float


def fairness(model: FaceModel, judge: Judge, progress: Callable[[int], None] = lambda done: None) -> dict[str, Third]:
    """Turns ``judge.identities`` unseen people at truncation 1 (full variety).

    Returns a result for each of BY_SKIN, and for each of BY_SEX if the model has an attribute ``female``.
    """
    random = np.random.default_rng(0)
    anchors, turns = [], []
    for number in range(judge.identities):
        anchor = model.open_seed(FIRST_SEED + number, truncation=1.0)
        anchors.append(anchor)
        turns.append(Trial(model, judge, anchor).turn(random))
        progress(number + 1)
    thirds = _thirds(BY_SKIN, [_lightness(model, anchor) for anchor in anchors], turns)
    if female := model.attributes.get("female"):
        along = female.direction.mean(dim=0)
        thirds |= _thirds(BY_SEX, [float(anchor.ws.mean(dim=0) @ along) for anchor in anchors], turns)
    return thirds


def _lightness(model: FaceModel, anchor: Identity) -> float:
    """Returns the mean of the picture's middle, 0 … 255."""
    picture: NDArray[np.uint8] = model.paint(anchor.ws[None])[0, ..., :3]
    middle = slice(picture.shape[0] * 3 // 8, picture.shape[0] * 5 // 8)
    return float(picture[middle, middle].mean())


def _thirds(names: Sequence[str], values: list[float], turns: list[Part]) -> dict[str, Third]:
    """Splits people by ``values``, in rising order, into as many parts as there are names."""
    parts = np.array_split(np.argsort(values), len(names))
    return {name: _third([turns[person] for person in part]) for name, part in zip(names, parts, strict=True)}


def _third(turns: list[Part]) -> Third:
    errors = np.abs(np.concatenate([turn.found - turn.asked for turn in turns]))
    return Third(
        yaw=float(errors[:, 0].mean()),
        pitch=float(errors[:, 1].mean()),
        landmarks=float(np.mean([value for turn in turns for value in turn.nme])),
        similarity=float(np.mean([value for turn in turns for value in turn.similarities])),
    )
