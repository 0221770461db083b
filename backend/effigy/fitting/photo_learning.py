# SPDX-License-Identifier: Apache-2.0
"""Learns a face model's photo map (``faces.photo_map``) from pictures that it paints, of people at rest and edited.

A reading shall give the controls to request, so the truth is what was requested, within the ranges that edits reach.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import block_diag

from ..faces import FaceModel, load_face_model
from ..faces.bundle import LEARNT_LATER, add_photo_map
from ..faces.photo_map import Features, PhotoMap
from ..faces.replacing import check_replaceable
from ..geometry.camera import Array
from ..geometry.expressions import Expression, mirror_twins
from ..landmarks.photo import EYES, SCORES, PhotoDetector, photographed
from .evaluation import seen
from .photo_regression import Penalties, Regression, Table
from .reach import reachable

PEOPLE = 360  # with 80, 160 and 240, lids are read with correlations of 0.85, 0.87 and 0.88
_EDITS = 7  # pictures of each person, besides that at rest
_REACH = 0.9  # share of the pose range that turns cover
_MOVED = 0.5  # chance that a control moves
_FACES = 0.8  # share of the pictures in which a face must be found
_SOON = 3  # people without any face found, after whom learning ends
_SHAPES = 300  # principal components of the mesh, at most; much of a closing lid lies beyond the first hundred
_FOLDS = 5
_UNSURE = 0.6  # the correlation up to which none of a reading's shrinkage is taken back
_LEAST_GAIN = 0.5
_FIRST_SEED = 2_000_000  # apart from the seeds of fits and evaluations


# With 0.03 for people, lids and gaze of portraits that nothing was learnt from vary by a fifth more; with 1, those of
# painted people are read noticeably worse. But mouths move in portraits, so there much of it is no error: with 0.1
# smiles are read 0.8 times as wide, and landmarks show them wider than either.
_PEOPLE, _PEOPLE_OF_MOUTHS = 0.1, 0.03
# Those of a control to choose from. As neighbouring pixels show the same, 10 is little; with 1000 a control is hardly
# read from the eyes.
_PENALTIES = tuple(
    Penalties(*each)
    for each in itertools.product((0.001, 0.003, 0.01, 0.03), (10.0, 1000.0), (_PEOPLE, _PEOPLE_OF_MOUTHS))
)
_POSE_PENALTIES = Penalties(1e-3, 1.0, 0.03)


@dataclass(frozen=True, slots=True)
class Lesson:
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
    return None if lesson is None else map_of(lesson, {name: c.group for name, c in model.controls.items()})


def map_of(lesson: Lesson, groups: Mapping[str, str]) -> PhotoMap:
    """Learns the photo map from a lesson; ``groups`` are those of the controls, by name.

    Every control is read by ridge regression on scores, mesh, eyes and turn. Its penalty grows with how much a reading
    would differ between photographed people, so that it holds for faces that no generator painted.
    """
    rest = Features.median(lesson.at_rest)
    shapes = _shapes(lesson, rest)
    table = _table(lesson, rest, shapes)
    weights, correlations = _learn_controls(lesson, table, groups)
    pose, pose_mesh = _learn_pose(lesson, rest, table, correlations)
    scores, shape, eyes, turn = np.split(weights, np.cumsum([len(SCORES), len(shapes), EYES]))
    return PhotoMap(
        tuple(groups),
        scores,
        shapes.T @ shape,
        eyes,
        turn,
        rest.scores,
        rest.mesh,
        rest.eyes,
        pose,
        shapes.T @ pose_mesh,
        correlations,
    )


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
    model = load_face_model(folder, without=LEARNT_LATER)
    found = learn_photo_map(model, PhotoDetector(model.generator.device), people, progress)
    if found is not None:
        add_photo_map(folder, found)
    return found


def _paint_and_read(
    model: FaceModel, detector: PhotoDetector, people: int, progress: Callable[[int, int], None]
) -> Lesson | None:
    random, controls = np.random.default_rng(0), {control.name: control for control in reachable(model)}
    people_, seen_, at_rest, asked, own, pose = [], [], [], [], [], []
    for number in range(people):
        person = model.open_seed(_FIRST_SEED + number)
        asks = [(0.0, 0.0, dict.fromkeys(controls, 0.0))]
        asks += [random_edit(controls, model.pose_range, random) for _ in range(_EDITS)]
        edits = [model.edit(person, *ask) for ask in asks]
        faces = detector.faces(seen(model, torch.stack([edit.ws for edit in edits])))
        read = [None if face is None else Features.of(face) for face in faces]
        if (rest := read[0]) is not None:
            mine = list(model.own_expression(person).values())
            for (_, _, moved), edit, features in zip(asks, edits, read, strict=True):
                if features is not None:
                    people_.append(number)
                    seen_.append(features)
                    at_rest.append(rest)
                    asked.append(list(moved.values()))
                    own.append(mine)
                    pose.append((edit.pose.yaw, edit.pose.pitch))
        progress(number + 1, people)
        if number + 1 == _SOON and not seen_:
            return None
    if len(seen_) < _FACES * people * (1 + _EDITS):
        return None
    lesson = Lesson(np.array(people_), seen_, at_rest, np.array(asked), np.array(own), np.array(pose))
    return _with_mirrored(lesson, model)


def _with_mirrored(lesson: Lesson, model: FaceModel) -> Lesson:
    """Adds the mirror image of every picture, so that both sides of a face are read alike."""
    names, mirror = list(model.controls), mirror_twins(model.topology, model.controls)
    twins = [names.index(mirror[name].name) for name in names]
    signs = np.array([-1.0 if mirror[name].is_odd else 1.0 for name in names])
    return Lesson(
        np.concatenate([lesson.people, lesson.people]),
        [*lesson.seen, *(features.mirrored() for features in lesson.seen)],
        [*lesson.at_rest, *(features.mirrored() for features in lesson.at_rest)],
        np.concatenate([lesson.asked, signs * lesson.asked[:, twins]]),
        np.concatenate([lesson.own, signs * lesson.own[:, twins]]),
        np.concatenate([lesson.pose, lesson.pose * [-1.0, 1.0]]),
    )


def random_edit(
    controls: Mapping[str, Expression], pose_range: tuple[float, float], random: np.random.Generator
) -> tuple[float, float, dict[str, float]]:
    """Draws yaw and pitch in degrees, and values of some ``controls``; the others are 0."""
    yaw, pitch = random.uniform(-_REACH, _REACH, 2) * pose_range
    moved = {
        name: float(random.uniform(control.low, control.high)) if random.random() < _MOVED else 0.0
        for name, control in controls.items()
    }
    return float(yaw), float(pitch), moved


def _table(lesson: Lesson, rest: Features, shapes: Array) -> Table:
    def features(several: list[Features]) -> Array:
        scores, mesh, eyes, turn = (
            np.stack(part)
            for part in zip(*((one.scores, one.mesh, one.eyes, one.turn()) for one in several), strict=True)
        )
        return np.concatenate([scores - rest.scores, (mesh - rest.mesh) @ shapes.T, eyes - rest.eyes, turn], axis=1)

    average = features(lesson.seen)
    first, end = len(SCORES), len(SCORES) + len(shapes)
    people = _people(shapes, turns=len(rest.turn()))
    return Table(average - features(lesson.at_rest), average, slice(first, end), slice(end, end + EYES), people)


def _people(shapes: Array, turns: int) -> Array:
    """Returns the covariance of features between photographed people, [F, F]; they do not differ in the turn."""
    photos = photographed()
    features = block_diag(np.eye(len(SCORES)), shapes, np.eye(EYES), np.zeros((turns, 0)))  # of the numbers read
    together, alone = features @ photos.spread.T, features * photos.alone
    return np.asarray(together @ together.T + alone @ alone.T)


def _shapes(lesson: Lesson, rest: Features) -> Array:
    """Returns the principal components of the mesh's difference to an average face, [≤ _SHAPES, 3 · 478]."""
    apart = np.stack([one.mesh for one in lesson.seen]) - rest.mesh
    return np.asarray(np.linalg.svd(apart, full_matrices=False)[2][:_SHAPES])


def _learn_controls(lesson: Lesson, table: Table, groups: Mapping[str, str]) -> tuple[Array, dict[str, float]]:
    """Learns the weights [F, C] of each control, with the penalty that predicts it best on held-out people.

    Also returns the correlations with the truth on held-out people: the worse one of a comparison with the same person
    at rest and with an average one.
    """
    X = np.concatenate([table.own, table.average])
    Y = np.concatenate([lesson.asked, lesson.asked + lesson.own])
    people, halves = np.tile(lesson.people, 2), np.split(np.arange(len(X)), 2)
    folds = [people % _FOLDS == fold for fold in range(_FOLDS)]
    taught, whole = [Regression.of(X[~held], Y[~held]) for held in folds], Regression.of(X, Y)
    found = []
    for penalties in _PENALTIES:
        read = np.zeros_like(Y)
        for held, regression in zip(folds, taught, strict=True):
            read[held] = X[held] @ regression.solve(penalties, table)
        found.append([min(_correlation(read[n, c], Y[n, c]) for n in halves) for c in range(len(groups))])
        found[-1] += [float(np.polyfit(y, x, 1)[0]) for x, y in zip(read.T, Y.T, strict=True)]
    results = np.array(found).reshape(len(_PENALTIES), 2, len(groups))
    weights, correlations = np.zeros((X.shape[1], len(groups))), {}
    for column, (name, group) in enumerate(groups.items()):
        counted = _PEOPLE_OF_MOUTHS if group == "mouth" else _PEOPLE
        allowed = [row for row, penalties in enumerate(_PENALTIES) if penalties.people == counted]
        best = allowed[results[allowed, 0, column].argmax()]
        correlation, gain = results[best, :, column].tolist()
        weights[:, column] = whole.solve(_PENALTIES[best], table)[:, column] / _taken_back(gain, correlation)
        correlations[name] = correlation
    return weights, correlations


def _taken_back(gain: float, correlation: float) -> float:
    """Returns what a reading with this correlation is divided by, whose slope over the truth is ``gain``.

    Regression shrinks what it predicts badly. Divided by the gain, a transferred expression is as strong as the one
    that was seen, but so are the reading's errors, which a transfer shows together with it. So what is read well is
    divided by nearly all of it, and what is read badly stays near rest.
    """
    sure = np.clip((correlation - _UNSURE) / (1 - _UNSURE), 0.0, 1.0)
    return float(max(gain, _LEAST_GAIN) ** sure)


def _learn_pose(lesson: Lesson, rest: Features, table: Table, correlations: dict[str, float]) -> tuple[Array, Array]:
    """Fits slope and offset of yaw and pitch, [2, 2], and how components of the mesh correct them, [K, 2].

    Adds their correlations with the truth, on held-out people, to ``correlations``.
    """
    read = np.array([(one.yaw, one.pitch) for one in lesson.seen])
    pose = np.stack([np.polyfit(read[:, axis], lesson.pose[:, axis], 1) for axis in range(2)])
    straight = read * pose[:, 0] + pose[:, 1]
    missing = lesson.pose - straight
    shape = Table(
        table.own[:, table.shapes],
        table.average[:, table.shapes],
        slice(0, None),
        slice(0, 0),
        table.people[table.shapes, table.shapes],
    )
    held_out = straight.copy()
    for fold in range(_FOLDS):
        held = lesson.people % _FOLDS == fold
        held_out[held] += shape.average[held] @ Regression.of(shape.average[~held], missing[~held]).solve(
            _POSE_PENALTIES, shape
        )
    for axis, name in enumerate(("yaw", "pitch")):
        correlations[name] = _correlation(held_out[:, axis], lesson.pose[:, axis])
    return pose, Regression.of(shape.average, missing).solve(_POSE_PENALTIES, shape)


def _correlation(a: Array, b: Array) -> float:
    """Returns the correlation of a and b, 0 where one of them is constant."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
