# SPDX-License-Identifier: Apache-2.0
"""Trains a face model's encoder (``faces.encoder``) on pictures that its generator paints.

The metric of latents, E[Jᵀ J] over people, J the slopes of a picture's n values divided by √n, is found without J: for
random values r of unit variance and a picture's gradient g of r · picture / √n, E[g gᵀ] = Jᵀ J. One such probe of a
picture costs no more than painting it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..faces import FaceModel, embedded_bundle, generator_of, load_face_model
from ..faces.bundle import LEARNT_LATER, add_encoder
from ..faces.encoder import Encoder
from ..faces.features import extractor_of
from ..faces.replacing import check_replaceable
from ..generators import check_pictures
from ..generators.planes import colour

PICTURES = 2000
_TRUNCATIONS = (0.8, 1.0)  # ψ of alternate batches: as users sample, and the whole distribution
_BATCH = 10
_SEED = 3_000_000  # apart from the seeds of fits and evaluations
_PROBES, _FEWEST = 8, 2  # for each of M directions: as many are taken, and with less than these nothing is known


def learn_encoder(
    model: FaceModel,
    networks: Path | None,  # the embedded bundle with the same generator, whose networks are used as features
    pictures: int = PICTURES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Encoder:
    """Trains an encoder on ``pictures`` random people. The same model gives the same encoder."""
    extractor, random = extractor_of(networks, model.generator.device), torch.Generator().manual_seed(_SEED)
    noise = torch.Generator().manual_seed(_SEED)
    features: list[tuple[Tensor, ...]] = []
    latents: list[Tensor] = []
    probes: list[Tensor] = []
    size = len(model.regressor.whitening.basis)
    for start in range(0, pictures, _BATCH):
        count = min(_BATCH, pictures - start)
        z = torch.randn(count, model.generator.z_dim, generator=random).to(model.generator.device)
        truncation = _TRUNCATIONS[start // _BATCH % len(_TRUNCATIONS)]
        with torch.inference_mode():
            ws = model.generator.map(z, truncation)
            painted = colour(model.generator.synthesize(ws), model.generator.planes)
            check_pictures(painted, model.generator, ws)
            features.append(extractor(painted).features)
            latents.append(model.regressor.whitening(ws[:, 0].cpu().double()))
        if len(probes) < _PROBES * size:
            probes += [_probe(model, w, noise) for w in ws[:, :1]]
        progress(start + count, pictures)
    kinds = [torch.cat(parts).cpu() for parts in zip(*features, strict=True)]
    return Encoder.learn(kinds, torch.cat(latents), networks, metric=_metric(torch.cat(probes)))


def _probe(model: FaceModel, w: Tensor, noise: torch.Generator) -> Tensor:
    """Returns g [1, M] of the picture of w [1, w_dim]: see above. One at a time, since gradients take much memory."""
    basis = model.regressor.whitening.basis.float().to(w.device)
    step = torch.zeros(1, len(basis), device=w.device, requires_grad=True)
    with torch.enable_grad():
        ws = (w.clone() + step @ basis)[:, None].expand(-1, model.generator.num_ws, -1)
        picture = colour(model.generator.synthesize(ws), model.generator.planes)
        values = torch.randn(picture.shape, generator=noise).to(picture)
        (slopes,) = torch.autograd.grad((picture * values).sum(), step)
    return slopes.cpu().double() / picture[0].numel() ** 0.5


def _metric(probes: Tensor) -> Tensor | None:
    """Returns the metric [M, M] that ``probes`` [N, M] show, or None where they are too few."""
    count, size = probes.shape
    found = probes.T @ probes / count
    return None if count < _FEWEST * size else (found + found.T) / 2


def learn_people(
    folder: Path, pictures: int = PICTURES, progress: Callable[[int, int], None] = lambda done, total: None
) -> Encoder:
    """Trains the encoder of the bundle in ``folder``, and puts it there.

    Raises BundleError, GeneratorFileError, DetectorError, IdentityFileError or OSError.
    """
    check_replaceable(folder)
    model = load_face_model(folder, without=LEARNT_LATER)
    found = learn_encoder(model, embedded_bundle(generator_of(str(folder))), pictures, progress)
    add_encoder(folder, found)
    return found
