# SPDX-License-Identifier: Apache-2.0
"""The embedded identity network: a small CNN for the embedded default's people."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..tensor_files import read_tensors
from .embedder import IdentityFileError

INPUT = 64  # pixels
DIMENSIONS = 64


class IdentityNetwork(nn.Module):
    """[N, 3, 64, 64] in [−1, 1] → unit vectors [N, 64]."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        stages = [(3, width, 2), (width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 4 * width, 1)]
        self.stages = nn.ModuleList(self._stage(*stage) for stage in stages)
        # Position matters in aligned faces: a coarse grid of features instead of their mean.
        self.head = nn.Linear(4 * width * 4 * 4, DIMENSIONS)

    @staticmethod
    def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.with_features(x)[0]

    def with_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns embeddings, unit vectors [N, 64], and the features they are computed from, [N, 4 · width, 4, 4]."""
        for stage in self.stages:
            x = stage(x)
        features = F.avg_pool2d(x, 2)
        return F.normalize(self.head(features.flatten(1)), dim=1), features


class EmbeddedEmbedder:
    """Implements ``effigy.recognition.Embedder`` with a network whose weights come with Effigy."""

    def __init__(self, network: nn.Module, size: int, path: Path, device: str | torch.device) -> None:
        """Reads the weights of ``network``, which takes ``size`` × ``size`` pixels, from the safetensors file ``path``.

        Raises IdentityFileError.
        """
        self.network, self._size = network, size
        try:
            self.network.load_state_dict({name: value.float() for name, value in read_tensors(path).items()})
            self.fingerprint = f"{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        except (ValueError, OSError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise IdentityFileError(f"the identity network {path} cannot be read ({reason}): install again") from None
        self.network.requires_grad_(requires_grad=False).eval().to(device)

    def embed(self, images: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [−1, 1] → unit vectors [N, D]; differentiable."""
        vectors: Tensor = self.network(self._fit(images))
        return vectors

    def _fit(self, images: Tensor) -> Tensor:
        return F.interpolate(images.clamp(-1, 1), size=(self._size, self._size), mode="area")


class EmbeddedIdentity(EmbeddedEmbedder):
    """The network by which edits of the embedded default's people keep them."""

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        self.network: IdentityNetwork
        super().__init__(IdentityNetwork(), INPUT, path, device)

    def embed_with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns embeddings as ``embed`` does, and the features [N, C, 4, 4] that they are computed from."""
        return self.network.with_features(self._fit(images))
