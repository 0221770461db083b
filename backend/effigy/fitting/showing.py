# SPDX-License-Identifier: Apache-2.0
"""Finds controls that pictures do not show.

A shape model of many landmarks has directions that the landmarks of people at rest differ in, such as a jaw that lies
to one side, but that no person of the generator moves in. An edit along one changes what φ reads and not the picture.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch

from ..faces.face import FaceModel
from ..faces.header import BundleError
from ..faces.latent import LatentError
from ..geometry import infer
from ..geometry.camera import Array
from ..geometry.expressions import Expression, mirror_twins
from ..landmarks import Detector
from .evaluation import seen

_PEOPLE = 12
_FIRST_SEED = 4_500_000  # apart from the seeds of fits, learning, ``reach`` and ``evaluation``
_STRENGTH = 0.8  # of a control's high end
_LEAST_SHOWN = 0.25  # of what is asked; controls of the defaults show 0.65 and more


def unshown(model: FaceModel, detector: Detector) -> dict[str, float]:
    """Returns the controls of ``model`` that pictures of its edits do not show, each with the share that they do.

    It is the median share over people of what is asked of the control alone; left and right are counted together, so
    they stay or go together.
    """
    names = list(model.controls)
    if not names:
        return {}
    found: list[Array] = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + _PEOPLE):
        try:
            found.append(_shown(model, detector, seed))
        except LatentError:
            continue
    shares = np.array(found).reshape(-1, len(names))
    twins = mirror_twins(model.topology, names)
    hidden = {}
    for name in names:
        values = shares[:, [names.index(name), names.index(twins[name].name)]]
        values = values[np.isfinite(values)]
        if len(values) and (share := float(np.median(values))) < _LEAST_SHOWN:
            hidden[name] = share
    return hidden


def left_of(controls: Mapping[str, Expression], hidden: Collection[str]) -> dict[str, Expression]:
    """Returns the ``controls`` that are not ``hidden``. Raises BundleError when none is left."""
    left = {name: control for name, control in controls.items() if name not in hidden}
    if not left:
        raise BundleError(
            "pictures of edits show no expression: fit with latents of people who make faces (--latents), or with more "
            "--samples"
        )
    return left


def _shown(model: FaceModel, detector: Detector, seed: int) -> Array:
    """Returns the share of each control that the picture of a person edited by it alone shows, [C].

    NaN where no face is found. Raises LatentError.
    """
    person = model.open_seed(seed)
    controls = model.controls.values()
    asked = np.array([_STRENGTH * control.high for control in controls])
    moves = [{}, *({name: float(value)} for name, value in zip(model.controls, asked, strict=True))]
    pictures = seen(model, torch.stack([model.edit(person, 0.0, 0.0, move).ws for move in moves]))
    points = detector.detect(pictures).cpu().double().numpy()
    is_seen = np.isfinite(points).all(axis=(1, 2))
    shares = np.full(len(asked), np.nan)
    if is_seen[0]:
        alpha = infer(model.shape, points[is_seen]).alpha
        readings = np.stack([control.reading for control in controls])
        values = np.full((len(moves), len(asked)), np.nan)
        values[is_seen] = (alpha - alpha[0]) @ readings.T
        shares = values[1:].diagonal() / asked
    return shares
