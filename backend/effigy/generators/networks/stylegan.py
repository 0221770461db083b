# SPDX-License-Identifier: Apache-2.0
"""What every StyleGAN has: a mapping z → w, and a synthesis that paints by the style of each layer."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from .dense import Mapping, truncate


class Config(Protocol):
    """The shape of a network."""

    @property
    def z_dim(self) -> int: ...
    @property
    def w_dim(self) -> int: ...
    @property
    def num_ws(self) -> int: ...
    @property
    def resolution(self) -> tuple[int, int]: ...
    @property
    def mapping_layers(self) -> int: ...
    @property
    def mapping_lr_multiplier(self) -> float: ...
    @property
    def planes(self) -> tuple[str, ...]: ...


class Synthesis(nn.Module):
    """w+ [N, num_ws, w_dim] → styles → picture [N, C, H, W]."""

    def freeze(self, dtype: torch.dtype) -> None:
        """Folds the constants of every layer; convolutions then run in ``dtype``."""
        raise NotImplementedError

    def styles(self, ws: Tensor) -> list[Tensor]:
        """The style space S: what each layer gets of ``ws``, in order."""
        raise NotImplementedError


class StyleGAN(nn.Module):
    """A generator but for how it paints. Its weights are to be loaded, or made by ``dense.initialize``."""

    def __init__(self, config: Config, synthesis: Synthesis) -> None:
        super().__init__()
        self.mapping = Mapping(config.z_dim, config.w_dim, config.mapping_layers, config.mapping_lr_multiplier)
        self.synthesis = synthesis
        self.z_dim, self.w_dim, self.num_ws = config.z_dim, config.w_dim, config.num_ws
        self.resolution = config.resolution  # height, width
        self.planes = config.planes
        self.is_frozen = False

    @property
    def w_avg(self) -> Tensor:
        return self.mapping.w_avg

    @property
    def device(self) -> torch.device:
        return self.mapping.w_avg.device

    def freeze(self, dtype: torch.dtype = torch.float32) -> None:
        """Makes the weights constants and folds all that can be, once; synthesis then computes in ``dtype``."""
        if self.is_frozen:
            raise ValueError("this generator is frozen already")
        self.is_frozen = True
        self.requires_grad_(requires_grad=False).eval()
        self.synthesis.freeze(dtype)

    @torch.no_grad()
    def map(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """z [N, z_dim] → w+ [N, num_ws, w_dim], every row w_avg + psi (w − w_avg)."""
        return truncate(self.mapping(z), self.w_avg, truncation_psi, self.num_ws)

    def styles(self, ws: Tensor) -> list[Tensor]:
        """w+ [N, num_ws, w_dim] → what each layer gets of it (StyleSpace, Wu et al. 2021); see the synthesis."""
        return self.synthesis.styles(ws)
