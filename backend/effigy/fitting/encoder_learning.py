# SPDX-License-Identifier: Apache-2.0
"""Trains a face model's encoder (``faces.encoder``) on pictures that its generator paints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..faces import FaceModel, embedded_bundle, generator_of, load_face_model
from ..faces.bundle import add_encoder
from ..faces.encoder import Encoder
from ..faces.features import extractor_of
from ..faces.replacing import check_replaceable
from ..generators import check_pictures
from ..generators.planes import colour

PICTURES = 2000
_TRUNCATIONS = (0.8, 1.0)  # ψ of alternate batches: as users sample, and the whole distribution
_BATCH = 10
_SEED = 3_000_000  # apart from the seeds of fits and evaluations


def learn_encoder(
    model: FaceModel,
    networks: Path | None,  # the embedded bundle with the same generator, whose networks are used as features
    pictures: int = PICTURES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Encoder:
    """Trains an encoder on ``pictures`` random people. The same model gives the same encoder."""
    extractor, random = extractor_of(networks, model.generator.device), torch.Generator().manual_seed(_SEED)
    features: list[tuple[Tensor, ...]] = []
    latents: list[Tensor] = []
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
        progress(start + count, pictures)
    kinds = [torch.cat(parts).cpu() for parts in zip(*features, strict=True)]
    return Encoder.learn(kinds, torch.cat(latents), networks)


def learn_people(
    folder: Path, pictures: int = PICTURES, progress: Callable[[int, int], None] = lambda done, total: None
) -> Encoder:
    """Trains the encoder of the bundle in ``folder``, and puts it there.

    Raises BundleError, GeneratorFileError, DetectorError, IdentityFileError or OSError.
    """
    check_replaceable(folder)
    model = load_face_model(folder)
    found = learn_encoder(model, embedded_bundle(generator_of(str(folder))), pictures, progress)
    add_encoder(folder, found)
    return found
