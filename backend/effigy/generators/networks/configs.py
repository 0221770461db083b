# SPDX-License-Identifier: Apache-2.0
"""The shapes of StyleGAN2 and StyleGAN3 networks, checked before anything is allocated for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..planes import RGB, check_planes
from .dense import check_mapping
from .operations import check_clamp

_WIDEST = 32  # taps of a filter for each step of the sampling rate; the official networks have 12


@dataclass(frozen=True, slots=True)
class StyleGAN2Config:
    """The shape of a network. ``channels`` are those of the blocks from the first up to the full resolution."""

    z_dim: int
    w_dim: int
    channels: tuple[int, ...]
    mapping_layers: int
    mapping_lr_multiplier: float = 0.01
    conv_clamp: float | None = None
    first: tuple[int, int] = (4, 4)  # height and width of the first block; (4, 2) in StyleGAN-Human
    planes: tuple[str, ...] = RGB  # of a picture, by name

    def __post_init__(self) -> None:
        check_mapping(self.z_dim, self.w_dim, self.mapping_layers)
        check_clamp(self.conv_clamp)
        if not all(1 <= channels <= 8192 for channels in self.channels):
            raise ValueError(f"no StyleGAN2 has layers of {max(self.channels)} channels")
        if not 1 <= len(self.channels) <= 12 or len(self.first) != 2 or not all(1 <= n <= 64 for n in self.first):
            raise ValueError(f"no StyleGAN2 has {len(self.channels)} blocks, the first of {self.first} pixels")
        check_planes(self.planes)

    @property
    def resolution(self) -> tuple[int, int]:
        """(height, width)."""
        scale = 1 << (len(self.channels) - 1)
        return self.first[0] * scale, self.first[1] * scale

    @property
    def num_ws(self) -> int:
        return 2 * len(self.channels)

    @property
    def image_channels(self) -> int:
        return len(self.planes)


@dataclass(frozen=True, slots=True)
class StyleGAN3Config:
    """The shape of a network, in the terms of the official generator's arguments."""

    z_dim: int
    w_dim: int
    img_resolution: int
    mapping_layers: int = 2
    mapping_lr_multiplier: float = 0.01
    channel_base: int = 32768
    channel_max: int = 512
    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin_size: int = 10
    output_scale: float = 0.25
    conv_kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    use_radial_filters: bool = False
    conv_clamp: float | None = 256.0
    square: bool = True  # if not, half as wide as high: StyleGAN-Human
    planes: tuple[str, ...] = RGB  # of a picture, by name

    def __post_init__(self) -> None:
        check_mapping(self.z_dim, self.w_dim, self.mapping_layers)
        check_clamp(self.conv_clamp)
        check_planes(self.planes)
        power = self.img_resolution > 0 and self.img_resolution & (self.img_resolution - 1) == 0
        if not power or not 16 <= self.img_resolution <= 8192:
            raise ValueError(f"no StyleGAN3 paints {self.img_resolution} pixels: a power of two is needed")
        for name, largest in {"num_layers": 64, "margin_size": 256, "filter_size": 16, "lrelu_upsampling": 4}.items():
            if not 1 <= getattr(self, name) <= largest:
                raise ValueError(f"no StyleGAN3 has {name} {getattr(self, name)}")
        if self.filter_size * self.lrelu_upsampling > _WIDEST:
            raise ValueError(f"no StyleGAN3 has filters of {self.filter_size} × {self.lrelu_upsampling} taps")
        if self.lrelu_upsampling < 2 or not -math.inf < self.output_scale < math.inf:
            raise ValueError(f"no StyleGAN3 has {self.lrelu_upsampling} samples for one, scaled by {self.output_scale}")
        if self.conv_kernel not in (1, 3) or not 0 <= self.num_critical < self.num_layers:
            raise ValueError(f"no StyleGAN3 has kernels of {self.conv_kernel} and {self.num_critical} critical layers")

    @property
    def num_ws(self) -> int:
        return self.num_layers + 2

    @property
    def resolution(self) -> tuple[int, int]:
        """(height, width)."""
        return self.img_resolution, self.img_resolution if self.square else self.img_resolution // 2
