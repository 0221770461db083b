# SPDX-License-Identifier: Apache-2.0
"""What is seen in the pictures of a face model's generator, by which a latent is told from a picture.

The pixels, in small, and what the embedded networks see, where they know the generator's people. Of other generators
no network is known that could be trusted: their pixels must do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..landmarks.embedded import EmbeddedDetector
from ..recognition.embedded import EmbeddedIdentity

_SMALL = 32  # pixels of a side
_COARSE = 4  # cells of a side of the detector's features
PIXELS_ALONE = "pixels"


@dataclass(frozen=True, slots=True)
class Traits:
    """Of N pictures: kinds of features, each [N, F]; landmarks [N, 2, L] and vectors of identity [N, D], if any."""

    features: tuple[Tensor, ...]
    points: Tensor | None
    vectors: Tensor | None


class Sight:
    """Sees pictures [N, 3, H, W] in [−1, 1]; differentiable."""

    def __init__(self, detector: EmbeddedDetector | None = None, identity: EmbeddedIdentity | None = None) -> None:
        self._detector, self._identity = detector, identity
        names = [network.fingerprint for network in (detector, identity) if network is not None]
        self.fingerprint = " ".join(names) or PIXELS_ALONE

    def __call__(self, pictures: Tensor) -> Traits:
        features = [F.interpolate(pictures.clamp(-1, 1), size=(_SMALL, _SMALL), mode="area")]
        points = vectors = None
        if self._detector is not None:
            points, maps = self._detector.look(pictures)
            features += [points, F.adaptive_avg_pool2d(maps, _COARSE)]
        if self._identity is not None:
            vectors, maps = self._identity.look(pictures)
            features += [vectors, maps]
        return Traits(tuple(part.flatten(1) for part in features), points, vectors)


def sight_of(networks: Path | None, device: torch.device) -> Sight:
    """With the networks in the folder ``networks``, an embedded bundle's; None: without any.

    Raises DetectorError or IdentityFileError.
    """
    return Sight() if networks is None else _embedded(networks, device)


@cache
def _embedded(folder: Path, device: torch.device) -> Sight:
    return Sight(
        EmbeddedDetector(folder / "detector.safetensors", device),
        EmbeddedIdentity(folder / "identity.safetensors", device),
    )
