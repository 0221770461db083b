# SPDX-License-Identifier: Apache-2.0
"""Does the picture show what was asked? Edits of unseen identities, measured on the pictures themselves.

Every figure comes from landmarks that the detector finds on painted pictures and the shape model explains;
what the regressor believes does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..editing import InverseOptions
from ..geometry import angles, infer, project, rotation
from ..geometry.camera import Array, Camera
from ..geometry.shape import Views
from ..landmarks import Detector
from .face import Edit, FaceModel, Identity

FIRST_SEED = 1_000_000  # identities that no fit samples
_POSES = 6  # random turns of each identity
_REACH = 0.9  # of the training range that turns cover
_STRENGTH = 0.8  # of a control's high end
_BATCH = 16

Embedding = Callable[[Tensor], Tensor]
"""Pictures [N, 3, H, W] in [−1, 1] → unit vectors [N, D] that tell people apart."""


@dataclass(frozen=True, slots=True)
class PoseScore:
    """Measured against asked: slope of the regression line, mean absolute error in degrees."""

    slope: float
    mae_deg: float


@dataclass(frozen=True, slots=True)
class ControlScore:
    """Per unit asked: ``gain`` is what the control itself moves, ``leakage`` the most that any other one moves."""

    gain: float
    leakage: float


@dataclass(frozen=True, slots=True)
class Scores:
    """How well one method edits. NME in percent of the outer-eye distance; milliseconds per inversion."""

    yaw: PoseScore
    pitch: PoseScore
    controls: dict[str, ControlScore]
    landmark_nme_percent: float
    identity_similarity: float | None
    clamped_share: float
    ms: float
    matrix: list[list[float]] = field(default_factory=list)  # change of the column's control per unit of the row's


def evaluate(
    model: FaceModel,  # the face model
    detector: Detector,  # finds landmarks in its pictures
    identities: int = 24,  # unseen people to edit
    options: InverseOptions = InverseOptions(),  # the inverse to judge
    embed: Embedding | None = None,  # tells people apart, for identity_similarity
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Scores:
    """Random turns and every control on unseen identities. Seeded: the same model gives the same figures."""
    random = np.random.default_rng(0)
    turns, moves = [], []
    for number in range(identities):
        anchor = model.open_seed(FIRST_SEED + number)
        turns.append(_turn(model, detector, anchor, random, options, embed))
        moves.append(_move(model, detector, anchor, options, embed))
        progress(options.method, number + 1, identities)
    matrix = np.mean([move.matrix for move in moves], axis=0)
    spread = np.mean([np.abs(move.matrix) for move in moves], axis=0)
    similarities = [s for part in (*turns, *moves) for s in part.similarities]
    clamped = [c for part in (*turns, *moves) for c in part.clamped]
    seconds = [s for part in (*turns, *moves) for s in part.seconds]
    asked, found = (np.concatenate([getattr(turn, name) for turn in turns]) for name in ("asked", "found"))
    return Scores(
        yaw=_pose_score(asked[:, 0], found[:, 0]),
        pitch=_pose_score(asked[:, 1], found[:, 1]),
        controls={
            name: ControlScore(float(matrix[row, row]), float(np.delete(spread[row], row).max(initial=0.0)))
            for row, name in enumerate(model.controls)
        },
        landmark_nme_percent=float(np.mean([n for turn in turns for n in turn.nme])),
        identity_similarity=float(np.mean(similarities)) if similarities else None,
        clamped_share=float(np.mean(clamped)),
        ms=1e3 * float(np.median(seconds)),
        matrix=matrix.tolist(),
    )


@dataclass(slots=True)
class _Part:
    """What one identity's edits showed."""

    asked: Array = field(default_factory=lambda: np.zeros((0, 2)))  # [n, 2] yaw and pitch, degrees
    found: Array = field(default_factory=lambda: np.zeros((0, 2)))
    nme: list[float] = field(default_factory=list)
    matrix: Array = field(default_factory=lambda: np.zeros((0, 0)))
    similarities: list[float] = field(default_factory=list)
    clamped: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def _turn(
    model: FaceModel,
    detector: Detector,
    anchor: Identity,
    random: np.random.Generator,
    options: InverseOptions,
    embed: Embedding | None,
) -> _Part:
    part = _Part()
    asked = random.uniform(-_REACH, _REACH, (_POSES, 2)) * model.pose_range
    edits = [_timed(model, anchor, yaw, pitch, {}, options, part) for yaw, pitch in asked]
    views = _look(model, detector, anchor, edits, embed, part)
    yaw, pitch, _ = angles(views.camera.R)
    part.asked, part.found = asked, np.degrees(np.stack([yaw, pitch], axis=1))
    part.nme = _nme(anchor, asked, views)
    return part


def _move(
    model: FaceModel, detector: Detector, anchor: Identity, options: InverseOptions, embed: Embedding | None
) -> _Part:
    part = _Part()
    values = [_STRENGTH * control.high for control in model.controls.values()]
    edits = [model.edit(anchor, 0.0, 0.0, {}, options)]
    for name, value in zip(model.controls, values, strict=True):
        edits.append(_timed(model, anchor, 0.0, 0.0, {name: value}, options, part))
    views = _look(model, detector, anchor, edits, embed, part)
    readings = np.stack([control.reading for control in model.controls.values()])
    part.matrix = (views.alpha[1:] - views.alpha[0]) @ readings.T / np.array(values)[:, None]
    return part


def _timed(
    model: FaceModel,
    anchor: Identity,
    yaw: float,
    pitch: float,
    controls: dict[str, float],
    options: InverseOptions,
    part: _Part,
) -> Edit:
    started = time.perf_counter()
    edit = model.edit(anchor, float(yaw), float(pitch), controls, options)
    part.seconds.append(time.perf_counter() - started)
    part.clamped.append(bool(edit.clamped))
    return edit


def _look(
    model: FaceModel,
    detector: Detector,
    anchor: Identity,
    edits: list[Edit],
    embed: Embedding | None,
    part: _Part,
) -> Views:
    """Paints the edits, finds their landmarks and what these say; notes how alike the people look."""
    ws = torch.stack([anchor.ws, *(edit.ws for edit in edits)])
    pictures = torch.cat([_paint(model, ws[i : i + _BATCH]) for i in range(0, len(ws), _BATCH)])
    if embed is not None:
        vectors = embed(pictures)
        part.similarities = (vectors[1:] @ vectors[0]).tolist()
    return infer(model.shape, detector.detect(pictures[1:]).double().cpu().numpy())


def _paint(model: FaceModel, ws: Tensor) -> Tensor:
    """Pictures as a viewer gets them: eight bits deep, as float in [−1, 1]."""
    return torch.from_numpy(model.paint(ws)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _nme(anchor: Identity, asked: Array, views: Views) -> list[float]:
    """Distance of the found landmarks from the anchor's own face under the asked turn, in percent.

    Size and shift are free: the plate carries them.
    """
    R = rotation(np.radians(asked[:, 0]), np.radians(asked[:, 1]), np.radians(np.full(len(asked), anchor.pose.roll)))
    wanted = project(anchor.rest, Camera(R, views.camera.s, np.zeros((len(asked), 2))))
    shift = (views.W - wanted).mean(axis=2, keepdims=True)
    distance = np.linalg.norm(views.W - wanted - shift, axis=1).mean(axis=1)
    return (100 * distance / views.camera.s).tolist()


def _pose_score(asked: Array, found: Array) -> PoseScore:
    return PoseScore(float(np.polyfit(asked, found, 1)[0]), float(np.abs(found - asked).mean()))


def report(scores: dict[str, Scores]) -> dict[str, object]:
    """The JSON of ``effigy evaluate``: the first method's figures, and all methods' under ``methods``."""
    plain = {method: asdict(score) for method, score in scores.items()}
    first = next(iter(plain.values()))
    return {**first, "methods": plain}
