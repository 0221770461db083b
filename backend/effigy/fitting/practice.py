# SPDX-License-Identifier: Apache-2.0
"""Paints a model's own edits, on which φ is corrected: see ``editing.correction``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..editing.correction import Corrected, Detected, correct_regressor
from ..faces.face import FaceModel
from ..faces.latent import LatentError, latent_to_bytes
from ..generators import check_pictures
from ..generators.planes import colour
from ..geometry.camera import Array
from ..landmarks import Detector
from .samples import Progress

EDITS = 2000  # pictures. φ errs by 0.82° of yaw on held-out edits; corrected by 940 by 0.46°, by 4200 by 0.40°
_TRUNCATION = (0.5, 1.0)  # the range of ψ, which covers the identities that users open
_TURNED = 1 / 2  # the chance that a face is turned
_ALONE, _MOVED = 3 / 4, 1 / 4  # the chance that one control moves alone; otherwise, that each of them moves
_BATCH = 10


def correct_by_edits(
    model: FaceModel,  # whose edits are painted
    detector: Detector,  # of the model's topology
    latents: Array,  # [N, rows, w_dim]: the people who are edited
    seed: int,
    progress: Progress = lambda stage, done, total: None,
) -> Corrected:
    """Corrects the model's φ on pictures of one random edit of each person.

    People are drawn towards the mean at random. Edits in which the detector finds no face are left out. ``seed`` makes
    it deterministic.
    """
    random = np.random.default_rng(seed)
    people, ws, points = [], [], []
    for start in range(0, len(latents), _BATCH):
        pulled, edited = _edited(model, latents[start : start + _BATCH], random)
        people.append(pulled)
        ws.append(edited[:, : model.regressor.rows].double().numpy())
        points.append(_looked_at(model, detector, edited))
        progress("edits", min(start + _BATCH, len(latents)), len(latents))
    found = np.concatenate(points)
    seen = np.isfinite(found).all(axis=(1, 2))
    return correct_regressor(
        model.regressor, Detected(np.concatenate(ws)[seen], found[seen]), np.concatenate(people), model.shape
    )


def _edited(model: FaceModel, latents: Array, random: np.random.Generator) -> tuple[Array, Tensor]:
    """Draws people towards the mean, and edits each at random.

    Returns their latents [≤ n, rows, w_dim] and those of the edits [≤ n, num_ws, w_dim], without people who cannot be
    opened.
    """
    mean = model.regressor.whitening.mean.numpy()
    people, edited = [], []
    for rows in latents:
        person = mean + random.uniform(*_TRUNCATION) * (rows - mean)
        ws = np.broadcast_to(person, (model.generator.num_ws, person.shape[1])).astype(np.float32)
        yaw, pitch = (random.uniform(-1, 1, 2) * model.pose_range * (random.uniform() < _TURNED)).tolist()
        try:
            edited.append(model.edit(model.open_latent(latent_to_bytes(ws)), yaw, pitch, _moves(model, random)).ws)
        except LatentError:
            continue
        people.append(person)
    return np.stack(people), torch.stack(edited)


def _moves(model: FaceModel, random: np.random.Generator) -> dict[str, float]:
    """Draws values of some controls within their ranges."""
    values = {name: random.uniform(control.low, control.high) for name, control in model.controls.items()}
    if random.uniform() < _ALONE:
        alone = list(values)[random.integers(len(values))]
        return {alone: values[alone]}
    return {name: value for name, value in values.items() if random.uniform() < _MOVED}


@torch.inference_mode()
def _looked_at(model: FaceModel, detector: Detector, ws: Tensor) -> Array:
    """Paints w+ [n, num_ws, w_dim] and returns the detected points [n, 2, L]."""
    pictures = colour(model.generator.synthesize(ws.to(model.generator.device)), model.generator.planes)
    check_pictures(pictures, model.generator, ws)
    return np.asarray(detector.detect(pictures).cpu().double().numpy())
