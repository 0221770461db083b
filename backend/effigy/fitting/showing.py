# SPDX-License-Identifier: Apache-2.0
"""Measures how much of the controls pictures of edits show.

A shape model of many landmarks has directions that the landmarks of people at rest differ in, such as a jaw that lies
to one side, but that no person of the generator moves in. An edit along one changes what φ reads and not the picture;
such controls are left out. Of others, φ reads more than pictures show, as edits lead far from what samples show: eyes
of the default look up by 0.87 of it. Edits ask φ for that much more (``faces.edit``). Where pictures show more than φ
reads, nothing changes: a lid that should shut, and shuts by 1.1, would stay open by a slit.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..editing.parameters import ALPHA
from ..faces.face import FaceModel
from ..faces.header import BundleError
from ..faces.latent import LatentError
from ..geometry import infer
from ..geometry.camera import Array
from ..geometry.expressions import LEAST_SHOWN, Expression, mirror_twins
from ..landmarks import Detector
from .evaluation import seen

_PEOPLE = 24
_FIRST_SEED = 4_500_000  # apart from the seeds of fits, learning, ``reach`` and ``evaluation``
_STRENGTH = 0.8  # of a control's high end
_HARDLY = 0.25  # share of what is asked; controls of the defaults show 0.65 and more


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a control pictures show."""

    of_asked: float  # as a share of what was asked: the median over people
    # Of what φ reads in the edits: that of all people together, so that it holds on average; 1 where φ reads nothing.
    of_read: float


def shares(model: FaceModel, detector: Detector) -> dict[str, Share]:
    """Measures edits of each control of ``model`` alone. Controls of which no person's picture can be read are missing.

    Left and right are counted together, so they are treated alike.
    """
    names = list(model.controls)
    if not names:
        return {}
    measured: list[Array] = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + _PEOPLE):
        try:
            measured.append(_measured(model, detector, seed))
        except LatentError:
            continue
    values = np.array(measured).reshape(-1, 2, len(names))
    twins = mirror_twins(model.topology, names)
    found = {}
    for name in names:
        shown, read = np.moveaxis(values[:, :, [names.index(name), names.index(twins[name].name)]], 1, 0)
        is_seen = np.isfinite(shown)
        if is_seen.any():
            total = float(read[is_seen].sum())
            of_read = float(shown[is_seen].sum()) / total if total > 0 else 1.0
            found[name] = Share(float(np.median(shown[is_seen])), of_read)
    return found


def unshown(measured: Mapping[str, Share]) -> dict[str, float]:
    """Returns the controls that pictures hardly show, each with the share of what is asked that they do."""
    return {name: share.of_asked for name, share in measured.items() if share.of_asked < _HARDLY}


def left_of(controls: Mapping[str, Expression], hidden: Collection[str]) -> dict[str, Expression]:
    """Returns the ``controls`` that are not ``hidden``. Raises BundleError when none is left."""
    left = {name: control for name, control in controls.items() if name not in hidden}
    if not left:
        raise BundleError(
            "pictures of edits show no expression: fit with latents of people who make faces (--latents), or with more "
            "--samples"
        )
    return left


def as_shown(model: FaceModel, detector: Detector, measured: Mapping[str, Share]) -> dict[str, Expression]:
    """Returns the controls of ``model`` with the share, up to 1, of what φ reads that pictures show.

    ``measured`` are the shares of edits as they are. As a share changes with how far an edit goes, it is measured once
    more in the edits that follow from it, and the mean of both counts. What was not measured is 1.
    """
    first = _with_shares(model.controls, measured)
    follower = copy.copy(model)
    follower.controls = first
    again = _with_shares(model.controls, shares(follower, detector))
    return {name: replace(control, shown=(first[name].shown + control.shown) / 2) for name, control in again.items()}


def _with_shares(controls: Mapping[str, Expression], measured: Mapping[str, Share]) -> dict[str, Expression]:
    whole = Share(1.0, 1.0)
    return {
        name: replace(control, shown=float(np.clip(measured.get(name, whole).of_read, LEAST_SHOWN, 1.0)))
        for name, control in controls.items()
    }


def _measured(model: FaceModel, detector: Detector, seed: int) -> Array:
    """Edits a person by each control alone; returns what is shown and what φ reads, by what was asked, [2, C].

    NaN where no face is found. Raises LatentError.
    """
    person = model.open_seed(seed)
    controls = model.controls.values()
    asked = np.array([_STRENGTH * control.high for control in controls])
    moves = [{}, *({name: float(value)} for name, value in zip(model.controls, asked, strict=True))]
    ws = torch.stack([model.edit(person, 0.0, 0.0, move).ws for move in moves])
    points = detector.detect(seen(model, ws)).cpu().double().numpy()
    is_seen = np.isfinite(points).all(axis=(1, 2))
    if not is_seen[0]:
        return np.full((2, len(asked)), np.nan)
    readings = np.stack([control.reading for control in controls])
    shown = np.full((len(moves), len(asked)), np.nan)
    shown[is_seen] = infer(model.shape, points[is_seen]).alpha @ readings.T
    read = model.regressor.of_latents(ws.double())[:, ALPHA].numpy() @ readings.T
    shown, read = ((values[1:] - values[0]).diagonal() for values in (shown, read))
    return np.stack([shown, read]) / asked
