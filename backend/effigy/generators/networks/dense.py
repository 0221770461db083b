# SPDX-License-Identifier: Apache-2.0
"""Dense layers with run-time gains, the mapping z → w made of them, and random weights to begin training with."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .operations import SQRT2


class FullyConnected(nn.Module):
    """A dense layer whose weights are stored divided by their learning-rate multiplier."""

    def __init__(self, features_in: int, features_out: int, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features_out, features_in))
        self.bias = nn.Parameter(torch.empty(features_out))
        self.weight_gain = lr_multiplier / math.sqrt(features_in)
        self.bias_gain = lr_multiplier
        self.is_frozen = False

    def forward(self, x: Tensor) -> Tensor:
        if self.is_frozen:
            return F.linear(x, self.weight, self.bias)
        return F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)

    def freeze(self) -> None:
        """Multiplies the gains into the parameters, for good."""
        self.weight.data = self.weight.data * self.weight_gain
        self.bias.data = self.bias.data * self.bias_gain
        self.is_frozen = True


class Mapping(nn.Module):
    """z [N, z_dim] → w [N, w_dim]."""

    w_avg: Tensor

    def __init__(self, z_dim: int, w_dim: int, layers: int, lr_multiplier: float = 0.01) -> None:
        super().__init__()
        self.layers = layers
        for index in range(layers):
            self.add_module(f"fc{index}", FullyConnected(w_dim if index else z_dim, w_dim, lr_multiplier))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        x = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for index in range(self.layers):
            x = F.leaky_relu(cast(FullyConnected, self.get_submodule(f"fc{index}"))(x), 0.2) * SQRT2
        return x


def check_mapping(z_dim: int, w_dim: int, layers: int) -> None:
    """Raises ValueError for a mapping network that cannot exist, before anything is built."""
    if not 1 <= layers <= 64 or not 1 <= z_dim <= 8192 or not 1 <= w_dim <= 8192:
        raise ValueError(f"no generator's mapping has {layers} layers from {z_dim} to {w_dim}")


@torch.no_grad()
def initialize(network: nn.Module, seed: int = 0) -> None:
    """Gives a network that is not loaded from a file the random weights that training starts from."""
    random = torch.Generator().manual_seed(seed)
    for name, values in [*network.named_parameters(), *network.named_buffers()]:
        part = name.rpartition(".")[2]
        if part in ("weight", "const", "noise_const"):
            values.normal_(generator=random)
        elif part in ("bias", "noise_strength"):
            values.fill_(float(name.endswith("affine.bias")))
    for module in network.modules():
        if isinstance(module, FullyConnected):
            module.weight.div_(module.bias_gain)
        elif special := getattr(module, "initialize", None):
            special(random)


def truncate(w: Tensor, w_avg: Tensor, psi: float, num_ws: int) -> Tensor:
    """w [N, w_dim] → w+ [N, num_ws, w_dim], every row w_avg + psi (w − w_avg)."""
    return (w_avg + psi * (w - w_avg))[:, None].expand(-1, num_ws, -1).contiguous()
