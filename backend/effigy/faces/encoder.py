# SPDX-License-Identifier: Apache-2.0
"""The encoder: a linear map from a picture's features to its whitened latent, where inversion starts.

It is a ridge regression of v on what ``features`` computes. Every kind of feature has the same weight, however many
numbers it has.

Beside it stands the metric of latents: a step d changes pictures by the mean square d · metric · d, on average over the
model's people. Latents are whitened by how people differ, but the same step of a standard deviation changes the whole
picture in one direction (turning) and next to nothing in another: a factor of 10⁵ or more in squares.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..tensor_files import check_finite, read_tensors, write_tensors
from .features import PIXELS_ALONE, FeatureExtractor, PictureFeatures, extractor_of

FILE = "encoder.safetensors"
_LITTLE = 1e-3  # a standard deviation below which a feature hardly counts
_TENSORS = ("mean", "scale", "weights", "centre")
_METRIC = "encoder.metric"


@dataclass(frozen=True)
class Encoder:
    """v = centre + ((features − mean) · scale) · weights, for F features and latents v of M numbers."""

    mean: Tensor  # [F]
    scale: Tensor  # [F]
    weights: Tensor  # [F, M]
    centre: Tensor  # [M]
    networks: Path | None  # the embedded bundle with the networks of ``extractor``; None: pixels alone
    trained_with: str  # the fingerprint of the extractor whose features it learnt from
    metric: Tensor | None = None  # [M, M]; None where it was not learnt: then all directions count alike

    @staticmethod
    def learn(
        features: list[Tensor], v: Tensor, networks: Path | None, ridge: float = 1e-4, metric: Tensor | None = None
    ) -> Encoder:
        """Trains an encoder on the ``features`` of N pictures, each kind [N, F], and their latents ``v`` [N, M].

        ``ridge`` is the penalty as a share of the features' mean square.
        """
        kinds = [part.double() for part in features]
        mean = torch.cat([part.mean(dim=0) for part in kinds])
        scale = torch.cat([1 / (part.std(dim=0) + _LITTLE) / part.shape[1] ** 0.5 for part in kinds])
        Z, centre = (torch.cat(kinds, dim=1) - mean) * scale, v.mean(dim=0)
        # The dual form, because there are fewer pictures than features.
        normal = Z @ Z.T
        normal.diagonal().add_(ridge * len(Z))
        weights = Z.T @ torch.linalg.solve(normal, v - centre)
        # Rounded as ``save`` does: half precision is enough for the start of a search.
        trained_with = extractor_of(networks, v.device).fingerprint
        parts = mean.float(), scale.float(), weights.half().float(), centre.float()
        return Encoder(*parts, networks, trained_with, None if metric is None else metric.float())

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """What computes its features. Raises DetectorError or IdentityFileError."""
        return extractor_of(self.networks, self.weights.device)

    @cached_property
    def fingerprint(self) -> str:
        """Of all that it has learnt."""
        known = [getattr(self, name) for name in _TENSORS] + ([] if self.metric is None else [self.metric])
        return hashlib.sha256(b"".join(part.cpu().numpy().tobytes() for part in known)).hexdigest()

    @property
    def has_its_networks(self) -> bool:
        """Whether the extractor has the networks that it was trained with. Raises as ``extractor``."""
        return self.extractor.fingerprint == self.trained_with

    def __call__(self, seen: PictureFeatures) -> Tensor:
        """Estimates the latents v [N, M] of N pictures."""
        return self.centre + ((torch.cat(seen.features, dim=1) - self.mean) * self.scale) @ self.weights

    def save(self, folder: Path) -> None:
        """Writes FILE into ``folder``. Raises OSError."""
        tensors = {f"encoder.{name}": getattr(self, name).cpu() for name in _TENSORS}
        tensors["encoder.weights"] = tensors["encoder.weights"].half()
        if self.metric is not None:
            tensors[_METRIC] = self.metric.cpu()
        write_tensors(folder / FILE, tensors)

    def entry(self) -> dict[str, Any]:
        """Returns its entry in the bundle's header."""
        return {"sees": self.trained_with}


def read_encoder(
    folder: Path, entry: dict[str, Any], size: int, networks: Path | None, device: torch.device
) -> Encoder:
    """Reads the encoder in ``folder``, for whitened latents of ``size`` numbers.

    ``networks`` is the embedded bundle with the same generator, if there is one. Raises KeyError, TypeError or
    ValueError where the file is damaged.
    """
    arrays = {name: values.float() for name, values in read_tensors(folder / FILE).items()}
    check_finite(arrays)  # doubles can be too large
    found = {name: arrays[f"encoder.{name}"].to(device) for name in _TENSORS}
    metric = arrays[_METRIC].to(device) if _METRIC in arrays else None  # earlier encoders have none
    features = len(found["mean"])
    wanted = {"mean": [features], "scale": [features], "weights": [features, size], "centre": [size]}
    for name, shape in wanted.items():
        if list(found[name].shape) != shape:
            raise ValueError(f"its encoder.{name} is {list(found[name].shape)} where this model has {shape}")
    trained_with = str(entry["sees"])
    if metric is not None and not _is_metric(metric, size):
        raise ValueError(f"its {_METRIC} is no metric of latents of {size} numbers")
    seen_by = None if trained_with == PIXELS_ALONE else networks
    return Encoder(**found, networks=seen_by, trained_with=trained_with, metric=metric)


def _is_metric(metric: Tensor, size: int) -> bool:
    """Returns whether it is symmetric, and some direction changes pictures. One that changes none, as that of a number
    of w which the generator ignores, is legal.
    """
    if metric.shape != (size, size) or not torch.equal(metric, metric.T):
        return False
    return bool((metric.diagonal() >= 0).all() and (metric.diagonal() > 0).any())
