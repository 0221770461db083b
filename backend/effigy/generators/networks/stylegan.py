# SPDX-License-Identifier: Apache-2.0
"""What every StyleGAN has: a mapping z → w, and a synthesis that paints by the style of each layer."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from .dense import Mapping, truncate
from .network import Config, Network


class StyleGANConfig(Config, Protocol):
    """The configuration that all StyleGANs share, with that of the mapping network."""

    @property
    def mapping_layers(self) -> int: ...
    @property
    def mapping_lr_multiplier(self) -> float: ...


class Synthesis(nn.Module):
    """w+ [N, num_ws, w_dim] → styles → picture [N, C, H, W]."""

    def freeze(self, dtype: torch.dtype) -> None:
        """Folds the constants of every layer; convolutions then run in ``dtype``."""
        raise NotImplementedError

    def styles(self, ws: Tensor) -> list[Tensor]:
        """Maps w+ to the style space S: the style of each layer, in order."""
        raise NotImplementedError


class StyleGAN(Network):
    """A generator without its synthesis. Its weights must be loaded, or made by ``dense.initialize``."""

    def __init__(self, config: StyleGANConfig, synthesis: Synthesis) -> None:
        super().__init__(config)
        self.mapping = Mapping(config.z_dim, config.w_dim, config.mapping_layers, config.mapping_lr_multiplier)
        self.synthesis = synthesis

    @property
    def w_avg(self) -> Tensor:
        """[w_dim], the mean of w over z ~ N(0, I)."""
        return self.mapping.w_avg

    @property
    def device(self) -> torch.device:
        return self.mapping.w_avg.device

    def freeze(self, dtype: torch.dtype = torch.float32) -> None:
        super().freeze(dtype)
        self.synthesis.freeze(dtype)

    @torch.no_grad()
    def map(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """z [N, z_dim] → w+ [N, num_ws, w_dim], every row w_avg + psi (w − w_avg)."""
        return truncate(self.mapping(z), self.w_avg, truncation_psi, self.num_ws)

    @property
    def has_styles(self) -> bool:
        return True

    def styles(self, ws: Tensor) -> list[Tensor]:
        """w+ [N, num_ws, w_dim] → what each layer gets of it (StyleSpace, Wu et al. 2021); see the synthesis."""
        return self.synthesis.styles(ws)
