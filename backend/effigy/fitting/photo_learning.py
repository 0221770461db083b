# SPDX-License-Identifier: Apache-2.0
"""Learns a face model's photo map (``faces.photo_map``) from pictures that it paints, of people at rest and edited.

A reading shall give the controls to request, so the truth is what was requested of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..faces import FaceModel, load_face_model
from ..faces.bundle import add_photo_map
from ..faces.photo_map import Features, PhotoMap
from ..faces.replacing import check_replaceable
from ..geometry.camera import Array
from ..geometry.expressions import mirror_twins
from ..landmarks.photo import PhotoDetector
from .evaluation import seen

PEOPLE = 120
_EDITS = 7  # pictures of each person, besides that at rest
_REACH = 0.9  # share of the pose range that turns cover
_MOVED = 0.5  # chance that a control moves
_FACES = 0.8  # share of the pictures in which a face must be found
_SOON = 3  # people without any face found, after whom learning ends
_SHAPES = 80  # principal components of the mesh
_FOLDS = 5
_RIDGES = (0.01, 0.1)  # penalties to choose from, in variances of a feature
_POSE_RIDGE = 1e-3
_LEAST_GAIN = 0.5
_FIRST_SEED = 2_000_000  # apart from the seeds of fits and evaluations


@dataclass(frozen=True, slots=True)
class _Lesson:
    """N pictures of people at rest and edited: what was read in them, and the truth."""

    people: Array  # the number of each picture's person, [N]
    seen: list[Features]  # what was read in each picture
    at_rest: list[Features]  # what was read in the same person's picture at rest
    asked: Array  # the change of controls from the person at rest, [N, C]
    own: Array  # the controls of the person at rest, relative to the average face, [N, C]
    pose: Array  # yaw and pitch in degrees, [N, 2]


def learn_photo_map(
    model: FaceModel,
    detector: PhotoDetector,
    people: int = PEOPLE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PhotoMap | None:
    """Learns the photo map from 8 pictures each of ``people`` people. The same model gives the same map.

    Returns None if too few faces are found in the model's pictures.
    """
    lesson = _paint_and_read(model, detector, people, progress)
    if lesson is None:
        return None
    names = tuple(model.controls)
    rest = Features.median(lesson.at_rest)
    shapes = _shapes(lesson, rest)
    tables = {whose: _table(lesson, others, shapes) for whose, others in _comparisons(lesson, rest).items()}
    truths = {"own": lesson.asked, "average": lesson.asked + lesson.own}
    scores, turn = np.zeros((len(rest.scores), len(names))), np.zeros((len(rest.turn()), len(names)))
    mesh, correlations = np.zeros((len(rest.mesh), len(names))), {}
    for column, name in enumerate(names):
        truth = {whose: values[:, column] for whose, values in truths.items()}
        used, ridge, gain, correlations[name] = _choose(lesson.people, tables, truth)
        X = np.concatenate([table.of(used) for table in tables.values()])
        solved = dict(
            zip(
                used,
                tables["own"].split(_solve(X, np.concatenate(list(truth.values())), ridge) / gain, used),
                strict=True,
            )
        )
        scores[:, column] = solved.get("scores", 0.0)
        mesh[:, column] = shapes.T @ solved["shapes"] if "shapes" in solved else 0.0
        turn[:, column] = solved["turn"]
    pose, pose_mesh = _learn_pose(lesson, rest, shapes, correlations)
    return PhotoMap(names, scores, mesh, turn, rest.scores, rest.mesh, pose, pose_mesh, correlations)


def learn_photos(
    folder: Path,
    people: int = PEOPLE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PhotoMap | None:
    """Learns the photo map of the bundle in ``folder``, and puts it there.

    Returns None, and changes nothing, if too few faces are found in its pictures. Raises BundleError, DetectorError or
    OSError.
    """
    check_replaceable(folder)
    model = load_face_model(folder)
    found = learn_photo_map(model, PhotoDetector(model.generator.device), people, progress)
    if found is not None:
        add_photo_map(folder, found)
    return found


def _paint_and_read(
    model: FaceModel, detector: PhotoDetector, people: int, progress: Callable[[int, int], None]
) -> _Lesson | None:
    random = np.random.default_rng(0)
    people_, seen_, at_rest, asked, own, pose = [], [], [], [], [], []
    for number in range(people):
        person = model.open_seed(_FIRST_SEED + number)
        asks = [(0.0, 0.0, dict.fromkeys(model.controls, 0.0)), *(random_edit(model, random) for _ in range(_EDITS))]
        edits = [model.edit(person, *ask) for ask in asks]
        faces = detector.faces(seen(model, torch.stack([edit.ws for edit in edits])))
        read = [None if face is None else Features.of(face) for face in faces]
        if (rest := read[0]) is not None:
            mine = list(model.own_expression(person).values())
            for (_, _, controls), edit, features in zip(asks, edits, read, strict=True):
                if features is not None:
                    people_.append(number)
                    seen_.append(features)
                    at_rest.append(rest)
                    asked.append([value - edit.residual.get(name, 0.0) for name, value in controls.items()])
                    own.append(mine)
                    pose.append((edit.pose.yaw, edit.pose.pitch))
        progress(number + 1, people)
        if number + 1 == _SOON and not seen_:
            return None
    if len(seen_) < _FACES * people * (1 + _EDITS):
        return None
    lesson = _Lesson(np.array(people_), seen_, at_rest, np.array(asked), np.array(own), np.array(pose))
    return _with_mirrored(lesson, model)


def _with_mirrored(lesson: _Lesson, model: FaceModel) -> _Lesson:
    """Adds the mirror image of every picture, so that both sides of a face are read alike."""
    names, mirror = list(model.controls), mirror_twins(model.topology, model.controls)
    twins = [names.index(mirror[name].name) for name in names]
    signs = np.array([-1.0 if mirror[name].is_odd else 1.0 for name in names])
    return _Lesson(
        np.concatenate([lesson.people, lesson.people]),
        [*lesson.seen, *(features.mirrored() for features in lesson.seen)],
        [*lesson.at_rest, *(features.mirrored() for features in lesson.at_rest)],
        np.concatenate([lesson.asked, signs * lesson.asked[:, twins]]),
        np.concatenate([lesson.own, signs * lesson.own[:, twins]]),
        np.concatenate([lesson.pose, lesson.pose * [-1.0, 1.0]]),
    )


def random_edit(model: FaceModel, random: np.random.Generator) -> tuple[float, float, dict[str, float]]:
    """Draws yaw, pitch and some controls at random."""
    yaw, pitch = random.uniform(-_REACH, _REACH, 2) * model.pose_range
    controls = {
        name: float(random.uniform(control.low, control.high)) if random.random() < _MOVED else 0.0
        for name, control in model.controls.items()
    }
    return float(yaw), float(pitch), controls


@dataclass(frozen=True, slots=True)
class _Table:
    """The difference of each picture's features to those of a face at rest, by kind, each [N, …]."""

    kinds: dict[str, Array]

    def of(self, used: tuple[str, ...]) -> Array:
        return np.concatenate([self.kinds[kind] for kind in used], axis=1)

    def split(self, weights: Array, used: tuple[str, ...]) -> list[Array]:
        """Splits weights [F] for the columns of ``of`` by kind."""
        return list(np.split(weights, np.cumsum([self.kinds[kind].shape[1] for kind in used])[:-1]))


def _comparisons(lesson: _Lesson, rest: Features) -> dict[str, list[Features]]:
    """Returns the face at rest that each picture is compared with: its own person's, or the average one's."""
    return {"own": lesson.at_rest, "average": [rest] * len(lesson.seen)}


def _table(lesson: _Lesson, others: list[Features], shapes: Array) -> _Table:
    pairs = list(zip(lesson.seen, others, strict=True))
    return _Table(
        {
            "scores": np.stack([one.scores - other.scores for one, other in pairs]),
            "shapes": np.stack([one.mesh - other.mesh for one, other in pairs]) @ shapes.T,
            "turn": np.stack([one.turn() - other.turn() for one, other in pairs]),
        }
    )


def _shapes(lesson: _Lesson, rest: Features) -> Array:
    """Returns the principal components of the mesh's difference to an average face, [_SHAPES, 3 · 478]."""
    apart = np.stack([one.mesh for one in lesson.seen]) - rest.mesh
    return np.asarray(np.linalg.svd(apart, full_matrices=False)[2][:_SHAPES])


def _choose(
    people: Array, tables: dict[str, _Table], truth: dict[str, Array]
) -> tuple[tuple[str, ...], float, float, float]:
    """Chooses the features and the penalty that predict one control best, by cross-validation over people.

    Returns the kinds of features, the penalty, the gain, and the correlation with the truth on held-out people, which
    is the worse one of both comparisons. Regression shrinks what it predicts badly. The gain is the slope of its
    predictions over the truth; divided by it, a transferred expression is as strong as the one that was seen.
    """
    found = []
    for used in (("scores", "turn"), ("shapes", "turn"), ("scores", "shapes", "turn")):
        X = {whose: table.of(used) for whose, table in tables.items()}
        for ridge in _RIDGES:
            read = {whose: np.zeros(len(people)) for whose in X}
            for fold in range(_FOLDS):
                held = people % _FOLDS == fold
                known, true = (np.concatenate([part[whose][~held] for whose in X]) for part in (X, truth))
                weights = _solve(known, true, ridge)
                for whose, values in X.items():
                    read[whose][held] = values[held] @ weights
            correlation = min(_correlation(read[whose], truth[whose]) for whose in X)
            gain = float(np.polyfit(np.concatenate(list(truth.values())), np.concatenate(list(read.values())), 1)[0])
            found.append((correlation, used, ridge, max(gain, _LEAST_GAIN)))
    correlation, used, ridge, gain = max(found, key=lambda one: one[0])
    return used, ridge, gain, correlation


def _learn_pose(lesson: _Lesson, rest: Features, shapes: Array, correlations: dict[str, float]) -> tuple[Array, Array]:
    """Fits slope and offset of yaw and pitch, [2, 2], and how the mesh corrects them, [3 · 478, 2].

    Adds their correlations with the truth, on held-out people, to ``correlations``.
    """
    read = np.array([(one.yaw, one.pitch) for one in lesson.seen])
    shape = np.stack([one.mesh - rest.mesh for one in lesson.seen]) @ shapes.T
    pose, pose_mesh = np.zeros((2, 2)), np.zeros((len(rest.mesh), 2))
    for axis, name in enumerate(("yaw", "pitch")):
        pose[axis] = np.polyfit(read[:, axis], lesson.pose[:, axis], 1)
        straight = np.polyval(pose[axis], read[:, axis])
        missing = lesson.pose[:, axis] - straight
        held_out = straight.copy()
        for fold in range(_FOLDS):
            held = lesson.people % _FOLDS == fold
            held_out[held] += shape[held] @ _solve(shape[~held], missing[~held], _POSE_RIDGE)
        correlations[name] = _correlation(held_out, lesson.pose[:, axis])
        pose_mesh[:, axis] = shapes.T @ _solve(shape, missing, _POSE_RIDGE)
    return pose, pose_mesh


def _solve(X: Array, y: Array, ridge: float) -> Array:
    """Solves ridge regression of y [N] on X [N, F], without an intercept, as all is 0 at rest; returns weights [F].

    Features are scaled to unit mean square.
    """
    spread = np.sqrt((X**2).mean(axis=0))
    spread[spread < 1e-6] = np.inf  # a constant feature gets weight 0
    Z = X / spread
    return np.asarray(np.linalg.solve(Z.T @ Z + ridge * len(Z) * np.eye(Z.shape[1]), Z.T @ y) / spread)


def _correlation(a: Array, b: Array) -> float:
    """Returns the correlation of a and b, 0 where one of them is constant."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
