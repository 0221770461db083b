# SPDX-License-Identifier: Apache-2.0
"""Evaluates edits: whether the pictures of edited, unseen identities show the requested pose and expression.

Every figure comes from landmarks that a detector finds in painted pictures, to which the shape model is fitted. The
regressor's own readings are not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ..editing import IdentityTerm, InverseOptions, Regressor, keep_identity
from ..editing.patches import patch_names
from ..faces.edit import Edit
from ..faces.face import FaceModel
from ..faces.identity import Identity
from ..geometry import angles, infer, project, rotation
from ..geometry.camera import Array, Camera
from ..geometry.shape import Views
from ..landmarks import Detector
from ..recognition import Embedder
from .drift import NO_SHADING, TURN, Shading, changes, drift, full_strength, shares

FIRST_SEED = 1_000_000  # of identities that no fit samples
_POSES = 6  # random turns of each identity
_REACH = 0.9  # share of the pose range that turns cover
_STRENGTH = 0.8  # share of a control's high end
_BATCH = 16

PAPER = "paper"  # the name of the paper's regressor with its linear inverse among the methods


@dataclass(frozen=True, slots=True)
class Judge:
    """The networks that measure pictures, and the people whose pictures are measured."""

    detector: Detector
    recogniser: Embedder | None = None  # tells how similar people are; preferably one that no fit has used
    identities: int = 24  # unseen people to edit
    first_seed: int = FIRST_SEED  # of them
    shading: Shading = NO_SHADING  # true changes of colour by each control, which do not count as drift
    keeper: Embedder | None = None  # the network of the inverse's identity term, for methods that have one
    keep: float = 0.0  # the weight of that term


@dataclass(frozen=True, slots=True)
class PoseScore:
    """Measured against asked: slope of the regression line, mean absolute error in degrees."""

    slope: float
    mae_deg: float


@dataclass(frozen=True, slots=True)
class ControlScore:
    """Per unit asked: the change of the control itself, and the largest mean |change| of another one."""

    gain: float
    leakage: float


@dataclass(frozen=True, slots=True)
class LookScore:
    """Changes of looks at full strength of each control, averaged over people."""

    mean_drift: float  # of 255
    drift: dict[str, dict[str, float]]  # control → place → change of colour, of 255
    identity_similarity: float | None  # cosine similarity with the unedited picture, if there is a recogniser


@dataclass(frozen=True, slots=True)
class Scores:
    """How well one method edits."""

    yaw: PoseScore
    pitch: PoseScore
    controls: dict[str, ControlScore]
    landmark_nme_percent: float  # mean landmark error of turned faces, in percent of the outer-eye distance
    identity_similarity: float | None  # cosine similarity with the unedited picture, if there is a recogniser
    clamped_share: float  # of edits that asked beyond the data's range
    ms: float  # median time of an inversion
    looks: LookScore | None  # of frontal faces; None where the landmarks are not a face's
    looks_turned: LookScore | None  # of faces turned by ``drift.TURN``
    matrix: list[list[float]] = field(default_factory=list)  # change of the column's control per unit of the row's


def evaluate(
    model: FaceModel,  # the face model
    judge: Judge,  # what measures its pictures
    options: InverseOptions = InverseOptions(),  # the inverse to judge
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Measures random turns and every control on unseen identities. The same model gives the same figures."""
    random = np.random.default_rng(0)
    turns, moves, held, held_turned = [], [], [], []
    for number in range(judge.identities):
        trial = Trial(model, judge, model.open_seed(judge.first_seed + number), options)
        turns.append(trial.turn(random))
        moves.append(trial.move())
        if model.topology.patches:
            held.append(trial.hold(0.0, 0.0, judge.shading.frontal))
            held_turned.append(trial.hold(*TURN, judge.shading.turned))
        progress(number + 1, judge.identities)
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
        looks=_look_score(model, held),
        looks_turned=_look_score(model, held_turned),
        matrix=matrix.tolist(),
    )


@dataclass(slots=True)
class Part:
    """What some edits of one identity showed; empty where it was not measured."""

    asked: Array = field(default_factory=lambda: np.zeros((0, 2)))  # yaw and pitch, [n, 2] in degrees
    found: Array = field(default_factory=lambda: np.zeros((0, 2)))  # the same as measured
    nme: list[float] = field(default_factory=list)  # landmark error of each, in percent of the outer-eye distance
    matrix: Array = field(default_factory=lambda: np.zeros((0, 0)))  # change of controls per unit asked, [C, C]
    similarities: list[float] = field(default_factory=list)  # of each, with the unedited picture
    clamped: list[bool] = field(default_factory=list)  # of each, whether it asked beyond the data's range
    seconds: list[float] = field(default_factory=list)  # of each, for the inversion
    drift: Array = field(default_factory=lambda: np.zeros((0, 0)))  # [n, P], of 255


class Trial:
    """Edits one identity, and measures the pictures."""

    def __init__(
        self, model: FaceModel, judge: Judge, anchor: Identity, options: InverseOptions = InverseOptions()
    ) -> None:
        self.model, self.judge, self.anchor = model, judge, anchor
        self.term: IdentityTerm | None = None
        if judge.keep and judge.keeper is not None:
            self.term = keep_identity(model.generator, judge.keeper, anchor.ws[None])
        self.options = replace(options, identity_weight=judge.keep)

    def turn(self, random: np.random.Generator) -> Part:
        """Measures random turns."""
        part = Part()
        asked = random.uniform(-_REACH, _REACH, (_POSES, 2)) * self.model.pose_range
        edits = [self._edit(yaw, pitch, {}, part) for yaw, pitch in asked]
        _, views = self._look(edits, part)
        yaw, pitch, _ = angles(views.camera.R)
        part.asked, part.found = asked, np.degrees(np.stack([yaw, pitch], axis=1))
        part.nme = _nme(self.anchor, asked, views)
        return part

    def move(self) -> Part:
        """Measures every control on its own, on a frontal face."""
        part = Part()
        controls = self.model.controls
        values = [_STRENGTH * control.high for control in controls.values()]
        edits = [self.model.edit(self.anchor, 0.0, 0.0, {}, self.options, self.term)]
        edits += [self._edit(0.0, 0.0, {name: value}, part) for name, value in zip(controls, values, strict=True)]
        _, views = self._look(edits, part)
        readings = np.stack([control.reading for control in controls.values()])
        part.matrix = (views.alpha[1:] - views.alpha[0]) @ readings.T / np.array(values)[:, None]
        return part

    def hold(self, yaw: float, pitch: float, shading: Mapping[str, Mapping[str, float]]) -> Part:
        """Measures how colours and the person change with every control at full strength, on a face turned so."""
        part = Part()
        asked = full_strength(
            {name: control.high for name, control in self.model.controls.items()}, self.model.topology
        )
        edits = [self._edit(yaw, pitch, controls, part) for controls in ({}, *asked.values())]
        pictures, views = self._look(edits, part)
        part.similarities = part.similarities[1:]
        base, change = changes(127.5 * (pictures + 1), views, self.model.topology, self.model.shape)
        part.drift = drift(change, base, shares(shading, asked, self.model.topology))
        return part

    def _edit(self, yaw: float, pitch: float, controls: dict[str, float], part: Part) -> Edit:
        """Edits the identity; notes the time in ``part``, and whether the edit was limited."""
        started = time.perf_counter()
        edit = self.model.edit(self.anchor, float(yaw), float(pitch), controls, self.options, self.term)
        part.seconds.append(time.perf_counter() - started)
        part.clamped.append(bool(edit.clamped))
        return edit

    def _look(self, edits: list[Edit], part: Part) -> tuple[Tensor, Views]:
        """Paints the edits and fits the shape model to their landmarks; notes the people's similarity in ``part``."""
        ws = torch.stack([self.anchor.ws, *(edit.ws for edit in edits)])
        pictures = torch.cat([seen(self.model, ws[i : i + _BATCH]) for i in range(0, len(ws), _BATCH)])
        if self.judge.recogniser is not None:
            vectors = self.judge.recogniser.embed(pictures.to(self.model.generator.device))
            part.similarities = (vectors[1:] @ vectors[0]).tolist()
        points = self.judge.detector.detect(pictures[1:]).cpu().double().numpy()
        return pictures[1:], infer(self.model.shape, points)


def seen(model: FaceModel, ws: Tensor) -> Tensor:
    """Paints w+ [N, num_ws, w_dim], rounded to 8 bits as viewers get it, as float [N, 3, H, W] in [−1, 1]."""
    return torch.from_numpy(model.paint(ws)[..., :3]).permute(0, 3, 1, 2).float() / 127.5 - 1


def _nme(anchor: Identity, asked: Array, views: Views) -> list[float]:
    """Returns the mean distance of the landmarks from the anchor's own face in the asked pose, for each picture.

    In percent of the outer-eye distance. Size and shift are those found, as the plate carries them.
    """
    R = rotation(np.radians(asked[:, 0]), np.radians(asked[:, 1]), np.radians(np.full(len(asked), anchor.pose.roll)))
    wanted = project(anchor.rest, Camera(R, views.camera.s, np.zeros((len(asked), 2))))
    shift = (views.W - wanted).mean(axis=2, keepdims=True)
    distance = np.linalg.norm(views.W - wanted - shift, axis=1).mean(axis=1)
    return (100 * distance / views.camera.s).tolist()


def _pose_score(asked: Array, found: Array) -> PoseScore:
    return PoseScore(float(np.polyfit(asked, found, 1)[0]), float(np.abs(found - asked).mean()))


def _look_score(model: FaceModel, parts: list[Part]) -> LookScore | None:
    if not parts:
        return None
    found = np.mean([part.drift for part in parts], axis=0)
    asked = full_strength(dict.fromkeys(model.controls, 1.0), model.topology)
    places = patch_names(model.topology.patches)
    similarities = [s for part in parts for s in part.similarities]
    return LookScore(
        mean_drift=float(found.mean()),
        drift={
            name: dict(zip(places, row, strict=True)) for name, row in zip(asked, found.round(3).tolist(), strict=True)
        },
        identity_similarity=float(np.mean(similarities)) if similarities else None,
    )


def compare(
    model: FaceModel,  # the face model
    judge: Judge,  # what measures its pictures
    methods: list[str],  # inverses, the product's first; "paper" is the paper's regressor with its linear inverse
    paper: Regressor | None = None,  # the paper's regressor
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, Scores]:
    """Evaluates every method on the same identities."""
    scores = {}
    for method in methods:
        judged, inverse = model, method
        if method == PAPER and paper is not None:
            judged, inverse = model.with_regressor(paper), "linear"
        options = InverseOptions(inverse)  # type: ignore[arg-type]
        scores[method] = evaluate(judged, judge, options, lambda i, n, method=method: progress(method, i, n))  # type: ignore[misc]
    return scores


def report(scores: dict[str, Scores]) -> dict[str, object]:
    """Returns the JSON of ``effigy evaluate``: the first method's figures, and those of all under ``methods``."""
    plain = {method: asdict(score) for method, score in scores.items()}
    first = next(iter(plain.values()))
    return {**first, "methods": plain}
