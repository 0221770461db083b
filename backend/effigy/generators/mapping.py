# SPDX-License-Identifier: Apache-2.0
"""What StyleGAN2 and StyleGAN3 share: dense layers with run-time gains, and the mapping z → w."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2.0)


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
    """Raises ValueError for what no mapping has, before anything is built for it."""
    if not 1 <= layers <= 64 or not 1 <= z_dim <= 8192 or not 1 <= w_dim <= 8192:
        raise ValueError(f"no generator's mapping has {layers} layers from {z_dim} to {w_dim}")


def check_clamp(clamp: float | None) -> None:
    """Raises ValueError for a limit that is none."""
    if clamp is not None and not 0 < clamp < math.inf:
        raise ValueError(f"activations cannot be clamped to {clamp}")


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


def energy(weight: Tensor) -> Tensor:
    """[out, in, kh, kw] → [in, out]: Σ W² of each pair of channels, which demodulation divides by."""
    return weight.float().square().sum(dim=(2, 3)).T.contiguous()


def modulate(x: Tensor, style: Tensor) -> Tensor:
    """``x`` [N, C, H, W] times ``style`` [N, C].

    In place where that may be: fresh memory costs more than the arithmetic.
    """
    factor = style[:, :, None, None].to(x.dtype)
    return x.mul_(factor) if may_overwrite() else x * factor


def may_overwrite() -> bool:
    """Whether activations may be changed in place: no gradient needs them, and no compiler, which fuses better."""
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling())


def truncate(w: Tensor, w_avg: Tensor, psi: float, num_ws: int) -> Tensor:
    """w [N, w_dim] → w+ [N, num_ws, w_dim], every row w_avg + psi (w − w_avg)."""
    return (w_avg + psi * (w - w_avg))[:, None].expand(-1, num_ws, -1).contiguous()


def channels_last(x: Tensor) -> Tensor:
    """``x`` [N, C, H, W] with its channels next to each other in memory, as convolutions like it."""
    return x.contiguous(memory_format=torch.channels_last)
