# SPDX-License-Identifier: Apache-2.0
"""A second identity network for the embedded default's people, used only to measure.

The network that edits were optimised for cannot say whether they kept the person. This one shares nothing with
``embedded.py``: another architecture (after Trockman and Kolter, *Patches Are All You Need?*, 2022), another seed,
pictures of other people; no fit uses it.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .embedded import EmbeddedEmbedder

INPUT = 96  # pixels
DIMENSIONS = 96
_PATCH = 8  # pixels of a side
_GRID = 4  # cells of a side that the head reads: position matters in aligned faces


class JudgeNetwork(nn.Module):
    """[N, 3, 96, 96] in [−1, 1] → unit vectors [N, 96]."""

    def __init__(self, width: int = 128, depth: int = 5) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Conv2d(3, width, _PATCH, _PATCH), nn.GELU(), nn.BatchNorm2d(width))
        self.mix_places = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 5, padding=2, groups=width), nn.GELU(), nn.BatchNorm2d(width))
            for _ in range(depth)
        )
        self.mix_channels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width)) for _ in range(depth)
        )
        self.head = nn.Linear(width * _GRID * _GRID, DIMENSIONS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        for places, channels in zip(self.mix_places, self.mix_channels, strict=True):
            x = channels(x + places(x))
        return F.normalize(self.head(F.adaptive_avg_pool2d(x, _GRID).flatten(1)), dim=1)


class EmbeddedJudge(EmbeddedEmbedder):
    """The network that says whether edits of the embedded default's people kept them."""

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        super().__init__(JudgeNetwork(), INPUT, path, device)
