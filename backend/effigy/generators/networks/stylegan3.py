# SPDX-License-Identifier: Apache-2.0
"""StyleGAN3, with the state-dict names and the numbers of the official networks.

Karras et al., *Alias-Free Generative Adversarial Networks*, NeurIPS 2021 (section 3 and appendices C and F).
T has 3 × 3 convolutions and separable filters, R has 1 × 1 convolutions and radial ones. As in
``stylegan2``, activations are modulated instead of weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batch_invariance import demodulation, row_by_row
from .configs import StyleGAN3Config
from .dense import FullyConnected
from .filters import design_lowpass, filtered_leaky_relu
from .operations import SQRT2, channels_last, energy, may_overwrite, modulate
from .stylegan import StyleGAN, Synthesis
from .winograd import pays, transformed, winograd_conv2d

_STEEPEST = 8  # times the sampling rate from layer to layer
_FINEST = 8192  # samples per picture


@dataclass(frozen=True, slots=True)
class Band:
    """The signal between two layers: its frequencies, in cycles per picture, and how finely it is sampled."""

    cutoff: float
    half_width: float  # of the transition band
    rate: int  # samples per picture's height
    size: int  # samples from top to bottom, the margin included
    width: int  # and from left to right
    channels: int


def bands(config: StyleGAN3Config) -> list[Band]:
    """Returns the num_layers + 1 bands from the input to the picture, a geometric progression (appendix C.1)."""
    last = config.img_resolution / 2
    progress = np.minimum(np.arange(config.num_layers + 1) / (config.num_layers - config.num_critical), 1)
    cutoffs = config.first_cutoff * (last / config.first_cutoff) ** progress
    stopbands = config.first_stopband * (last * config.last_stopband_rel / config.first_stopband) ** progress
    rates = np.exp2(np.ceil(np.log2(np.minimum(stopbands * 2, config.img_resolution))))
    sizes = rates + 2 * config.margin_size
    sizes[-2:] = config.img_resolution
    channels = np.rint(np.minimum(config.channel_base / 2 / cutoffs, config.channel_max))
    channels[-1] = len(config.planes)
    if not 1 <= channels.min() <= channels.max() <= 8192:
        raise ValueError(
            f"channel_base {config.channel_base} gives a layer {channels.min()} or {channels.max()} channels"
        )
    rises = rates[1:] / rates[:-1]
    if not np.all((rises >= 1) & (rises <= _STEEPEST)) or rates.min() < 1 or rates.max() > _FINEST:
        raise ValueError("its layers' sampling rates jump as no StyleGAN3's do")
    widths = np.maximum(stopbands, rates / 2) - cutoffs
    return [
        Band(float(c), float(w), int(r), int(s), int(s) if config.square else int(s) // 2, int(n))
        for c, w, r, s, n in zip(cutoffs, widths, rates, sizes, channels, strict=True)
    ]


class Input(nn.Module):
    """Fourier features of the picture's plane, turned and shifted by the style and by ``transform``."""

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, config: StyleGAN3Config, band: Band) -> None:
        super().__init__()
        self.band = band
        self.weight = nn.Parameter(torch.empty(band.channels, band.channels))
        self.affine = FullyConnected(config.w_dim, 4)
        self.register_buffer("transform", torch.empty(3, 3))
        self.register_buffer("freqs", torch.empty(band.channels, 2))
        self.register_buffer("phases", torch.empty(band.channels))

    @torch.no_grad()
    def initialize(self, random: torch.Generator) -> None:
        """Draws random frequencies within the band, and sets no motion, for the start of training."""
        directions = torch.randn(self.freqs.shape, generator=random)
        radii = directions.norm(dim=1, keepdim=True)
        self.freqs.copy_(directions / (radii * radii.square().exp().pow(0.25)) * self.band.cutoff)
        self.phases.copy_(torch.rand(self.phases.shape, generator=random) - 0.5)
        self.transform.copy_(torch.eye(3))
        self.affine.weight.zero_()
        self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))

    def forward(self, style: Tensor, motion: Tensor | None) -> Tensor:
        """Style [N, 4] (cosine, sine, shift) and motion [3, 3] → features [N, C, size, width]."""
        style = style / style[:, :2].norm(dim=1, keepdim=True)
        cosine, sine, shift = style[:, 0], style[:, 1], style[:, 2:]
        turn = torch.stack([torch.stack([cosine, -sine], dim=1), torch.stack([sine, cosine], dim=1)], dim=1)
        # The plane's points p become turn · (A p + b − shift); features are linear in them before the sine.
        affine = self.transform if motion is None else self.transform @ motion.to(self.transform)
        matrix = turn @ affine[:2, :2]
        offset = turn @ (affine[:2, 2] - shift)[:, :, None]
        phases = self.phases + (self.freqs @ offset)[:, :, 0]
        freqs = self.freqs @ matrix
        damping = (1 - (freqs.norm(dim=2) - self.band.cutoff) / (self.band.rate / 2 - self.band.cutoff)).clamp(0, 1)
        sizes = self.band.width, self.band.size
        edges = [(torch.arange(size, device=style.device) + 0.5 - size / 2) / self.band.rate for size in sizes]
        grid = torch.stack(torch.meshgrid(edges, indexing="xy"), dim=2).view(1, -1, 2)
        waves = torch.sin((grid @ freqs.transpose(1, 2) + phases[:, None]) * (2 * math.pi)) * damping[:, None]
        features = waves @ (self.weight.T * self.weight.shape[0] ** -0.5)
        return features.view(len(style), self.band.size, self.band.width, -1).permute(0, 3, 1, 2)


class Layer(nn.Module):
    """Modulated convolution, then a leaky ReLU at a higher sampling rate, between two low-pass filters."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None
    energy: Tensor | None

    def __init__(self, config: StyleGAN3Config, before: Band, after: Band, *, critical: bool, is_rgb: bool) -> None:
        super().__init__()
        self.is_rgb = is_rgb
        self.clamp = config.conv_clamp
        kernel = 1 if is_rgb else config.conv_kernel
        self.padding = kernel - 1
        self.size = before.size, before.width
        self.winograd = False  # whether ``weight`` will be what ``transform_weight`` makes of it
        self.weight = nn.Parameter(torch.empty(after.channels, before.channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(after.channels))
        self.affine = FullyConnected(config.w_dim, before.channels)
        self.register_buffer("magnitude_ema", torch.ones(()))
        self.register_buffer("energy", None, persistent=False)

        rate = max(before.rate, after.rate) * (1 if is_rgb else config.lrelu_upsampling)
        self.up, self.down = rate // before.rate, rate // after.rate
        up_taps = config.filter_size * self.up if self.up > 1 and not is_rgb else 1
        down_taps = config.filter_size * self.down if self.down > 1 and not is_rgb else 1
        radial = config.use_radial_filters and not critical
        self.register_buffer("up_filter", design_lowpass(up_taps, before.cutoff, before.half_width * 2, rate))
        self.register_buffer(
            "down_filter", design_lowpass(down_taps, after.cutoff, after.half_width * 2, rate, radial=radial)
        )
        # How many of the upsampled signal's samples lie beyond what the layer's output needs, on either side.
        crops = []
        for wanted, given in ((after.size, before.size), (after.width, before.width)):
            missing = (wanted - 1) * self.down + 1 + up_taps + down_taps - 2 - (given + self.padding) * self.up
            crops.append(up_taps - 1 - (missing + self.up) // 2)
        self.crop = crops[0], crops[1]

    def freeze(self, dtype: torch.dtype) -> None:
        """Folds all that does not depend on the style, for good; the convolution then runs in ``dtype``."""
        self.weight.data = self._unit_weight()
        if dtype == torch.float16 and not self.is_rgb:  # keeps sums within its range; demodulation cancels it
            self.weight.data = self.weight.data * self.weight[0].numel() ** -0.5
        self.energy = energy(self.weight)
        self.winograd = pays(self.weight, self.size, dtype)
        if not self.winograd:
            self.weight.data = channels_last(self.weight.data.to(torch.float32 if self.is_rgb else dtype))
        self.affine.freeze()

    def _unit_weight(self) -> Tensor:
        """Returns the weights scaled to a mean square of 1 in every output channel; those to RGB unchanged."""
        if self.is_rgb:
            return self.weight * self.weight[0].numel() ** -0.5
        return self.weight * self.weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """[N, channels_in, size, width] and style [N, channels_in] → [N, channels_out, size', width'].

        Without gradients ``x`` is used up.
        """
        weight = self._unit_weight() if self.energy is None else self.weight
        gain = torch.ones_like(self.magnitude_ema)
        if not self.is_rgb:
            style = style * style.square().mean(dim=1, keepdim=True).rsqrt()
            squares = energy(weight) if self.energy is None else self.energy
            gain = demodulation(style, squares)[:, :, None, None]
        # The input's gain goes first: half precision could not hold the sums without it.
        x = modulate(x, style * self.magnitude_ema.rsqrt()).to(weight.dtype)
        if self.winograd:
            x = winograd_conv2d(x, transformed(self.weight), self.padding)
        else:
            x = F.conv2d(x, weight, padding=self.padding).float()
        if self.up_filter is None or self.down_filter is None:  # to RGB, which is linear
            x = torch.addcmul(self.bias[:, None, None], x, gain)
            return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)
        bias = (self.bias * SQRT2)[:, None, None]
        x = torch.addcmul(bias, x, gain, out=x) if may_overwrite() else x * gain + bias
        return filtered_leaky_relu(x, self.clamp, self.up_filter, self.up, self.crop, self.down_filter, self.down)


class StyleGAN3Synthesis(Synthesis):
    """w+ [N, num_ws, w_dim] → picture [N, C, H, W], of as many planes as it has."""

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.output_scale = config.output_scale
        spectrum = bands(config)
        self.input = Input(config, spectrum[0])
        self.names = []
        for index, (before, after) in enumerate(zip([spectrum[0], *spectrum], spectrum, strict=False)):
            name = f"L{index}_{after.width}_{after.channels}"
            critical = index >= config.num_layers - config.num_critical
            layer = Layer(config, before, after, critical=critical, is_rgb=index == config.num_layers)
            self.add_module(name, layer)
            self.names.append(name)

    def layers(self) -> list[Layer]:
        """Returns the layers, from the input to the picture."""
        return [cast(Layer, self.get_submodule(name)) for name in self.names]

    def freeze(self, dtype: torch.dtype) -> None:
        self.input.affine.freeze()
        for layer in self.layers():
            layer.freeze(dtype)

    def styles(self, ws: Tensor) -> list[Tensor]:
        """Returns the input's turn and shift [N, 4], then one style [N, channels_in] for every layer."""
        modules: list[Input | Layer] = [self.input, *self.layers()]
        return [row_by_row(module.affine, ws[:, row]) for row, module in enumerate(modules)]

    def forward(self, styles: Sequence[Tensor], motion: Tensor | None = None) -> Tensor:
        x = channels_last(self.input(styles[0], motion))
        for layer, style in zip(self.layers(), styles[1:], strict=True):
            x = layer(x, style)
        return x * self.output_scale


def in_plane(roll: float, shift: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Returns the motion [3, 3] that rolls the picture by degrees, counter-clockwise, then shifts it right and down.

    ``shift`` is in picture heights. As it is the plane that is sampled elsewhere, this is the inverse map.
    """
    c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    x, y = shift
    return torch.tensor([[c, -s, s * y - c * x], [s, c, -s * x - c * y], [0.0, 0.0, 1.0]])


class StyleGAN3(StyleGAN):
    """A StyleGAN3 generator, which also moves pictures in their plane.

    Its fourteen layers round one after the other: in bfloat16 previews would differ by 0.9 % of the contrast.
    """

    config: StyleGAN3Config

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__(config, StyleGAN3Synthesis(config))

    def synthesize(self, ws: Tensor, motion: Tensor | None = None) -> Tensor:
        """w+ [N, num_ws, w_dim] → pictures [N, C, H, W] float32, not clamped; differentiable.

        ``motion`` [3, 3], of ``in_plane``, turns and shifts what is painted, exactly: the picture is continuous.
        """
        return self.synthesize_styles(self.styles(ws), motion)

    def synthesize_styles(self, styles: Sequence[Tensor], motion: Tensor | None = None) -> Tensor:
        """Styles as ``styles`` gives them → pictures [N, C, H, W]."""
        image: Tensor = self.synthesis(styles, motion)
        return image.contiguous()
