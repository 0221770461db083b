# SPDX-License-Identifier: Apache-2.0
"""From a picture of a face model's own kind to its latent at a glance: a linear map, where inversion starts.

Ridge regression of whitened latents v on what ``sight`` sees. Each kind of feature counts as much as each other,
however many numbers it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..tensor_files import read_tensors, write_tensors
from .sight import PIXELS_ALONE, Sight, Traits, sight_of

FILE = "encoder.safetensors"
_LITTLE = 1e-3  # of a feature's standard deviation, below which it tells nothing
_TENSORS = ("mean", "scale", "weights", "centre")


@dataclass(frozen=True)
class Encoder:
    """v = centre + ((features − mean) · scale) · weights, of a model with M whitened directions."""

    mean: Tensor  # [F]
    scale: Tensor  # [F]
    weights: Tensor  # [F, M]
    centre: Tensor  # [M]
    networks: Path | None  # the embedded bundle whose networks see; None: pixels alone
    sees: str  # the fingerprint of what saw when it learnt

    @staticmethod
    def learn(features: list[Tensor], v: Tensor, networks: Path | None, ridge: float = 1e-4) -> Encoder:
        """From the ``features`` of N pictures, by kind [N, F], and their latents ``v`` [N, M]."""
        kinds = [part.double() for part in features]
        mean = torch.cat([part.mean(dim=0) for part in kinds])
        scale = torch.cat([1 / (part.std(dim=0) + _LITTLE) / part.shape[1] ** 0.5 for part in kinds])
        Z, centre = (torch.cat(kinds, dim=1) - mean) * scale, v.mean(dim=0)
        # In the dual form the system has the size of the pictures, which are fewer than the features.
        normal = Z @ Z.T
        normal.diagonal().add_(ridge * len(Z))
        weights = Z.T @ torch.linalg.solve(normal, v - centre)
        # As they are read again: half precision is enough for where a search starts.
        sees = sight_of(networks, v.device).fingerprint
        return Encoder(mean.float(), scale.float(), weights.half().float(), centre.float(), networks, sees)

    @cached_property
    def sight(self) -> Sight:
        """What sees for it. Raises DetectorError or IdentityFileError."""
        return sight_of(self.networks, self.weights.device)

    @property
    def can_see(self) -> bool:
        """Whether what sees for it is what it learnt with. Raises as ``sight``."""
        return self.sight.fingerprint == self.sees

    def __call__(self, seen: Traits) -> Tensor:
        """What was seen in N pictures → v [N, M]."""
        return self.centre + ((torch.cat(seen.features, dim=1) - self.mean) * self.scale) @ self.weights

    def save(self, folder: Path) -> None:
        """Writes FILE into ``folder``. Raises OSError."""
        tensors = {f"encoder.{name}": getattr(self, name).cpu() for name in _TENSORS}
        tensors["encoder.weights"] = tensors["encoder.weights"].half()
        write_tensors(folder / FILE, tensors)

    def entry(self) -> dict[str, Any]:
        """What the bundle's header says of it."""
        return {"sees": self.sees}


def read_encoder(
    folder: Path, entry: dict[str, Any], size: int, networks: Path | None, device: torch.device
) -> Encoder:
    """The encoder in ``folder``, of latents with ``size`` whitened directions.

    ``networks``: the embedded bundle that knows the generator's people, if one does. Raises what a damaged one raises:
    KeyError, TypeError or ValueError.
    """
    arrays = read_tensors(folder / FILE)
    found = {name: arrays[f"encoder.{name}"].float().to(device) for name in _TENSORS}
    features = len(found["mean"])
    wanted = {"mean": [features], "scale": [features], "weights": [features, size], "centre": [size]}
    for name, shape in wanted.items():
        if list(found[name].shape) != shape:
            raise ValueError(f"its encoder.{name} is {list(found[name].shape)} where this model has {shape}")
    sees = str(entry["sees"])
    return Encoder(**found, networks=None if sees == PIXELS_ALONE else networks, sees=sees)
