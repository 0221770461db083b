# SPDX-License-Identifier: Apache-2.0
"""StyleGAN2, in one file, with the state-dict names and the numbers of the official networks.

Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020 (section 2.2 and
appendix B). Modulation is applied to activations instead of weights, y = conv(x·s, W)·rsqrt(s² ΣW² + ε):
the same function, but W stays constant and one convolution serves a whole batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2.0)


@dataclass(frozen=True, slots=True)
class StyleGAN2Config:
    """The shape of a network. ``channels`` are those of the blocks from 4 × 4 up to the full resolution."""

    z_dim: int
    w_dim: int
    channels: tuple[int, ...]
    mapping_layers: int
    mapping_lr_multiplier: float = 0.01
    conv_clamp: float | None = None

    @property
    def resolution(self) -> int:
        return 2 << len(self.channels)

    @property
    def num_ws(self) -> int:
        return 2 * len(self.channels)


class FullyConnected(nn.Module):
    """A dense layer whose weights are stored divided by their learning-rate multiplier."""

    def __init__(self, features_in: int, features_out: int, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features_out, features_in) / lr_multiplier)
        self.bias = nn.Parameter(torch.zeros(features_out))
        self.weight_gain = lr_multiplier / math.sqrt(features_in)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)


class Mapping(nn.Module):
    """z [N, z_dim] → w [N, w_dim]."""

    w_avg: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.layers = config.mapping_layers
        for index in range(self.layers):
            width = config.z_dim if index == 0 else config.w_dim
            self.add_module(f"fc{index}", FullyConnected(width, config.w_dim, config.mapping_lr_multiplier))
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor) -> Tensor:
        x = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for index in range(self.layers):
            x = F.leaky_relu(self.get_submodule(f"fc{index}")(x), 0.2) * SQRT2
        return x


def fir_kernel(gain: float) -> Tensor:
    """The [4, 4] separable binomial low-pass filter of every resampling, summing to ``gain``."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps)
    return kernel * (gain / kernel.sum())


def upsample2(image: Tensor, fir: Tensor) -> Tensor:
    """[N, C, H, W] → [N, C, 2H, 2W], zeros inserted and filtered, as the official upsample2d."""
    channels = image.shape[1]
    return F.conv_transpose2d(image, fir.expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)


class SynthesisLayer(nn.Module):
    """Modulated 3 × 3 convolution with demodulation, noise, bias and leaky ReLU; ``up`` doubles the size."""

    noise_const: Tensor
    fir: Tensor

    def __init__(
        self, channels_in: int, channels_out: int, config: StyleGAN2Config, resolution: int, *, up: bool
    ) -> None:
        super().__init__()
        self.up = up
        self.clamp = None if config.conv_clamp is None else config.conv_clamp * SQRT2
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.affine = FullyConnected(config.w_dim, channels_in)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("fir", fir_kernel(gain=4.0), persistent=False)

    def forward(self, x: Tensor, w: Tensor, *, noise: bool) -> Tensor:
        style = self.affine(w)
        demodulation = (style.square() @ self.weight.square().sum(dim=(2, 3)).T + 1e-8).rsqrt()
        x = x * style[:, :, None, None]
        if self.up:
            x = F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)
            channels = x.shape[1]
            x = F.conv2d(x, self.fir.expand(channels, 1, 4, 4), padding=1, groups=channels)
        else:
            x = F.conv2d(x, self.weight, padding=1)
        x = x * demodulation[:, :, None, None]
        if noise:
            x = x + self.noise_const * self.noise_strength
        x = F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], 0.2) * SQRT2
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """Modulated 1 × 1 convolution to three channels, without demodulation."""

    def __init__(self, channels_in: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.weight = nn.Parameter(torch.randn(3, channels_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.affine = FullyConnected(config.w_dim, channels_in)
        self.gain = 1 / math.sqrt(channels_in)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.affine(w) * self.gain
        x = F.conv2d(x * style[:, :, None, None], self.weight) + self.bias[:, None, None]
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Block(nn.Module):
    """One resolution: up-convolution (absent at 4 × 4), convolution, and its share of the picture."""

    def __init__(self, channels_in: int | None, channels_out: int, config: StyleGAN2Config, resolution: int) -> None:
        super().__init__()
        self.is_first = channels_in is None
        if channels_in is None:
            self.const = nn.Parameter(torch.randn(channels_out, 4, 4))
        else:
            self.conv0 = SynthesisLayer(channels_in, channels_out, config, resolution, up=True)
        self.conv1 = SynthesisLayer(channels_out, channels_out, config, resolution, up=False)
        self.torgb = ToRGB(channels_out, config)


class Synthesis(nn.Module):
    """w+ [N, num_ws, w_dim] → picture [N, 3, H, W]."""

    fir: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.resolutions = [4 << level for level in range(len(config.channels))]
        channels_in: int | None = None
        for resolution, channels in zip(self.resolutions, config.channels, strict=True):
            self.add_module(f"b{resolution}", Block(channels_in, channels, config, resolution))
            channels_in = channels
        self.register_buffer("fir", fir_kernel(gain=4.0), persistent=False)

    def blocks(self) -> list[Block]:
        """From 4 × 4 up; they are registered under the official names b4, b8, …"""
        return [cast(Block, self.get_submodule(f"b{resolution}")) for resolution in self.resolutions]

    def forward(self, ws: Tensor, *, noise: bool = True) -> Tensor:
        first, *others = self.blocks()
        x = first.const.expand(len(ws), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = first.conv1(x, ws[:, 0], noise=noise)
        image: Tensor = first.torgb(x, ws[:, 1])
        row = 1
        for block in others:
            x = block.conv0(x, ws[:, row], noise=noise)
            x = block.conv1(x, ws[:, row + 1], noise=noise)
            # The picture's style shares its row with the next block's first convolution.
            image = upsample2(image, self.fir) + block.torgb(x, ws[:, row + 2])
            row += 2
        return image


class StyleGAN2(nn.Module):
    """A StyleGAN2 generator; implements ``backend.generators.Generator``."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = Mapping(config)
        self.synthesis = Synthesis(config)

    @property
    def resolution(self) -> tuple[int, int]:
        return self.config.resolution, self.config.resolution

    @property
    def z_dim(self) -> int:
        return self.config.z_dim

    @property
    def w_dim(self) -> int:
        return self.config.w_dim

    @property
    def num_ws(self) -> int:
        return self.config.num_ws

    @property
    def w_avg(self) -> Tensor:
        return self.mapping.w_avg

    @property
    def device(self) -> torch.device:
        return self.mapping.w_avg.device

    @torch.no_grad()
    def map(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """z [N, z_dim] → w+ [N, num_ws, w_dim], every row w_avg + psi (w − w_avg)."""
        w = self.mapping(z)
        w = self.w_avg + truncation_psi * (w - self.w_avg)
        return w[:, None].expand(-1, self.num_ws, -1).contiguous()

    def synthesize(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → pictures [N, 3, H, W] float32, not clamped; differentiable."""
        image: Tensor = self.synthesis(ws)
        return image.contiguous()
