# SPDX-License-Identifier: Apache-2.0
"""What φ learns from pictures of a face model's own edits: see ``editing/correction.py``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..editing.correction import Corrected, Seen, correct_regressor
from ..faces.face import FaceModel
from ..faces.latent import LatentError, latent_to_bytes
from ..generators import check_pictures
from ..generators.planes import colour
from ..geometry.camera import Array
from ..landmarks import Detector
from .samples import Progress, Samples

_SHARE = 0.5  # edits to a sample
_TRUNCATION = (0.5, 1.0)  # of those who are edited, as of identities that users open
_TURNED, _MOVED = 2 / 3, 1 / 4  # how often a face is turned, and each control moved
_BATCH = 10


def correct_by_edits(
    model: FaceModel,  # with what edits hold
    detector: Detector,  # of the model's topology
    samples: Samples,  # of its generator, in all of which a face is seen
    seed: int,
    progress: Progress = lambda stage, done, total: None,
) -> Corrected:
    """The model's φ, trained further on pictures of edits of half of the samples."""
    random = np.random.default_rng(seed)
    count = max(1, int(_SHARE * len(samples)))
    ws, points = [], []
    for start in range(0, count, _BATCH):
        edited = _edited(model, samples.latents[start : min(start + _BATCH, count)], random)
        ws.append(edited)
        points.append(_looked_at(model, detector, edited))
        progress("edits", min(start + _BATCH, count), count)
    rows = torch.cat(ws)[:, : model.regressor.rows].double().numpy()
    found = np.concatenate(points)
    seen = np.isfinite(found).all(axis=(1, 2))
    return correct_regressor(
        model.regressor,
        Seen(samples.latents, samples.points),
        Seen(rows[seen], found[seen]),
        model.shape,
        seed,
        lambda i, n: progress("correct", i, n),
    )


def _edited(model: FaceModel, latents: Array, random: np.random.Generator) -> Tensor:
    """The people of latents [n, rows, w_dim], each edited at random: [n, num_ws, w_dim]."""
    mean = model.regressor.whitening.mean.numpy()
    edited = []
    for rows in latents:
        pulled = mean + random.uniform(*_TRUNCATION) * (rows - mean)
        ws = np.broadcast_to(pulled, (model.generator.num_ws, pulled.shape[1])).astype(np.float32)
        yaw, pitch = (random.uniform(-1, 1, 2) * model.pose_range * (random.uniform() < _TURNED)).tolist()
        moved = random.uniform(size=len(model.controls)) < _MOVED
        values = [random.uniform(control.low, control.high) for control in model.controls.values()]
        controls = {name: v for name, v, use in zip(model.controls, values, moved, strict=True) if use}
        try:
            edited.append(model.edit(model.open_latent(latent_to_bytes(ws)), yaw, pitch, controls).ws)
        except LatentError:
            continue
    return torch.stack(edited)


@torch.inference_mode()
def _looked_at(model: FaceModel, detector: Detector, ws: Tensor) -> Array:
    """Points [n, 2, L] of the pictures of w+ [n, num_ws, w_dim]."""
    pictures = colour(model.generator.synthesize(ws.to(model.generator.device)), model.generator.planes)
    check_pictures(pictures, model.generator, ws)
    return np.asarray(detector.detect(pictures).double().cpu().numpy())
