# SPDX-License-Identifier: Apache-2.0
"""The features of a picture from which ``encoder`` estimates its latent.

They are the picture at 32 × 32 pixels and, for the generator of an embedded bundle, the outputs and feature maps of
that bundle's landmark and recognition networks. Those are trained on that generator's people, so for other generators
the pixels are all there is.
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

_SMALL = 32  # pixels of a side, of the picture as a feature
_COARSE = 4  # cells of a side, to which the detector's feature maps are averaged
PIXELS_ALONE = "pixels"


@dataclass(frozen=True, slots=True)
class PictureFeatures:
    """The features of N pictures: several kinds, each [N, F]; and embeddings, if networks ran."""

    features: tuple[Tensor, ...]
    vectors: Tensor | None  # [N, D], of length 1


class FeatureExtractor:
    """Computes the features of pictures, with the networks that it is given. ``fingerprint`` names the networks."""

    def __init__(self, detector: EmbeddedDetector | None = None, identity: EmbeddedIdentity | None = None) -> None:
        self._detector, self._identity = detector, identity
        names = [network.fingerprint for network in (detector, identity) if network is not None]
        self.fingerprint = " ".join(names) or PIXELS_ALONE

    def __call__(self, pictures: Tensor) -> PictureFeatures:
        """Computes the features of ``pictures`` [N, 3, H, W] in [−1, 1]; differentiable."""
        features = [F.interpolate(pictures.clamp(-1, 1), size=(_SMALL, _SMALL), mode="area")]
        vectors = None
        if self._detector is not None:
            points, maps = self._detector.detect_with_features(pictures)
            features += [points, F.adaptive_avg_pool2d(maps, _COARSE)]
        if self._identity is not None:
            vectors, maps = self._identity.embed_with_features(pictures)
            features += [vectors, maps]
        return PictureFeatures(tuple(part.flatten(1) for part in features), vectors)


def extractor_of(networks: Path | None, device: torch.device) -> FeatureExtractor:
    """Returns the extractor with the networks in an embedded bundle's folder, or without any for None.

    Raises DetectorError or IdentityFileError.
    """
    return FeatureExtractor() if networks is None else _embedded(networks, device)


@cache
def _embedded(folder: Path, device: torch.device) -> FeatureExtractor:
    return FeatureExtractor(
        EmbeddedDetector(folder / "detector.safetensors", device),
        EmbeddedIdentity(folder / "identity.safetensors", device),
    )
