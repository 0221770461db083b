# SPDX-License-Identifier: Apache-2.0
"""StyleGAN2, with the state-dict names and the numbers of the official networks.

Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020 (section 2.2 and
appendix B). Modulation is applied to activations instead of weights, y = conv(x·s, W)·rsqrt(s² ΣW² + ε):
the same function, but W stays constant and one convolution serves a whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batch_invariance import demodulation, row_by_row
from .configs import StyleGAN2Config
from .dense import FullyConnected
from .operations import SQRT2, channels_last, energy, has_matrix_units, may_overwrite, modulate
from .resampling import fir_kernel, phase_weights, phases_to_space, upsample2
from .strips import strip_step, strips, within
from .stylegan import StyleGAN, Synthesis
from .winograd import pays, transformed, winograd_conv2d

# Layers up to this size stay in float32 where the others are in bfloat16. They cost next to nothing, and what is
# rounded there spreads over the whole picture: at 256, mean error 0.56 instead of 0.74 % of std.
_COARSE = 16
_ALL = slice(None)
# Up to so many pixels of input a convolution is computed picture by picture (``row_by_row``), because libraries split
# its sums among threads. Measured with 256 channels; with 512, up to 16 pixels. Up-convolutions depend on the batch
# alone, not on threads.
_FEW = 64


class SynthesisLayer(nn.Module):
    """Modulated 3 × 3 convolution with demodulation, noise, bias and leaky ReLU; ``up`` doubles the size."""

    noise_const: Tensor
    energy: Tensor | None
    fir: Tensor | None

    def __init__(
        self, channels_in: int, channels_out: int, config: StyleGAN2Config, size: tuple[int, int], *, up: bool
    ) -> None:
        super().__init__()
        self.up = up
        self.phases = False  # whether ``weight`` is what ``phase_weights`` made of it
        self.winograd = False  # or will be what ``transform_weight`` makes of it
        self.clamp = None if config.conv_clamp is None else config.conv_clamp * SQRT2
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, 3, 3))
        self.bias = nn.Parameter(torch.empty(channels_out))
        self.affine = FullyConnected(config.w_dim, channels_in)
        self.noise_strength = nn.Parameter(torch.empty(()))
        self.register_buffer("noise_const", torch.empty(size))
        self.register_buffer("fir", None, persistent=False)
        self.register_buffer("energy", None, persistent=False)

    def freeze(self, dtype: torch.dtype) -> None:
        """Folds all that does not depend on the style, for good; the convolution then runs in ``dtype``."""
        if dtype == torch.float16:  # keeps products within its range; demodulation takes the factor out again
            largest = self.weight.data.abs().amax(dim=(1, 2, 3), keepdim=True)
            largest[largest == 0] = 1  # a channel that reads nothing
            self.weight.data = self.weight.data / (largest * self.weight[0].numel() ** 0.5)
        self.energy = energy(self.weight)
        on_cpu = self.weight.device.type == "cpu"
        self.phases = self.up and dtype == torch.bfloat16 and on_cpu and has_matrix_units()
        self.winograd = not self.up and pays(self.weight, self.noise_const.shape, dtype)
        # As the convolution reads it: conv_transpose2d takes the input channels first.
        if self.phases:
            self.weight.data = channels_last(phase_weights(self.weight.data).to(dtype))
        elif self.up:
            self.weight.data = channels_last(self.weight.data.to(dtype).transpose(0, 1)).transpose(0, 1)
            self.fir = fir_kernel(gain=4.0).to(self.weight.data).expand(len(self.weight), 1, 4, 4).contiguous()
        elif not self.winograd:
            self.weight.data = channels_last(self.weight.data.to(dtype))
        self.noise_const.mul_(self.noise_strength.data * SQRT2)
        self.noise_strength.data = torch.full_like(self.noise_strength.data, 1 / SQRT2)
        self.affine.freeze()

    def scales(self, style: Tensor) -> Tensor:
        """Style [N, channels_in] → [N, channels_in + channels_out]: what input and output are multiplied by."""
        if self.weight.dtype == torch.float16:
            style = style / style.abs().amax(dim=1, keepdim=True).clamp(min=1e-8)
        squares = energy(self.weight) if self.energy is None else self.energy
        return torch.cat([style, demodulation(style, squares)], dim=1)

    def forward(self, x: Tensor, scales: Tensor, *, noise: bool, rows: slice = _ALL) -> Tensor:
        """[N, channels_in, h, w] and ``scales`` → [N, channels_out, h or 2 h, w or 2 w].

        ``rows`` says which of the layer's rows that is, where ``x`` is a strip. Without gradients ``x`` is used up.
        """
        style, gain = torch.split(scales, [x.shape[1], len(self.bias)], dim=1)
        x = self.convolve(modulate(x, style).to(self.weight.dtype))
        return self._activate(x, gain[:, :, None, None], self.noise_const[rows] if noise else None)

    def convolve(self, x: Tensor) -> Tensor:
        """[N, channels_in, h, w] → [N, channels_out, h or 2 h, w or 2 w]."""
        if x.shape[2] * x.shape[3] <= _FEW:
            return row_by_row(self._convolve, x, threads=None if self.up else 1)
        return self._convolve(x)

    def _convolve(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.winograd:
            return winograd_conv2d(x, transformed(weight))
        if self.phases:
            return phases_to_space(F.conv2d(x, weight, padding=1))
        if self.up:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            fir = fir_kernel(gain=4.0).to(x).expand(len(weight), 1, 4, 4) if self.fir is None else self.fir
            return F.conv2d(x, fir, padding=1, groups=len(weight))
        return F.conv2d(x, weight, padding=1)

    def _activate(self, x: Tensor, gain: Tensor, noise: Tensor | None) -> Tensor:
        inplace = may_overwrite()
        if x.dtype == torch.bfloat16:
            x = x.float()  # whose 8 bits would round away what the steps below add up
        bias = (self.bias * SQRT2)[:, None, None]
        x = torch.addcmul(bias, x, gain, out=x) if inplace else x * gain + bias
        if noise is not None:
            shown = noise * (self.noise_strength * SQRT2)
            x = x.add_(shown) if inplace else x + shown
        x = F.leaky_relu(x, 0.2, inplace=inplace)
        return x if self.clamp is None else F.hardtanh(x, -self.clamp, self.clamp, inplace=inplace)


class ToRGB(nn.Module):
    """Modulated 1 × 1 convolution to the picture's channels, without demodulation; always in float32."""

    def __init__(self, channels_in: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.weight = nn.Parameter(torch.empty(config.image_channels, channels_in, 1, 1))
        self.bias = nn.Parameter(torch.empty(config.image_channels))
        self.affine = FullyConnected(config.w_dim, channels_in)
        self.gain = channels_in**-0.5

    def scales(self, style: Tensor) -> Tensor:
        """Style [N, channels_in] → [N, channels_in]: what the input is multiplied by."""
        return style * self.gain

    def forward(self, x: Tensor, scales: Tensor) -> Tensor:
        """[N, channels_in, h, w] and ``scales`` → [N, image_channels, h, w]."""
        N, C, height, width = x.shape
        weight = self.weight[:, :, 0, 0].T * scales[:, :, None]  # [N, C, image_channels]
        pixels = x.float().permute(0, 2, 3, 1).reshape(N, height * width, C)
        image = torch.baddbmm(self.bias, pixels, weight).view(N, height, width, len(self.bias)).permute(0, 3, 1, 2)
        return image if self.clamp is None else image.clamp(-self.clamp, self.clamp)


class Block(nn.Module):
    """One resolution: up-convolution (absent in the first), convolution, and its share of the picture."""

    def __init__(
        self, channels_in: int | None, channels_out: int, config: StyleGAN2Config, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.is_first = channels_in is None
        if channels_in is None:
            self.const = nn.Parameter(torch.empty(channels_out, *size))
        else:
            self.conv0 = SynthesisLayer(channels_in, channels_out, config, size, up=True)
        self.conv1 = SynthesisLayer(channels_out, channels_out, config, size, up=False)
        self.torgb = ToRGB(channels_out, config)

    def forward(self, x: Tensor, scales: Sequence[Tensor], *, noise: bool, last: bool) -> tuple[Tensor, Tensor]:
        """[N, channels_in, h, w] and the layers' scales → [N, channels_out, 2 h, 2 w], and a picture of that size.

        The first block, which has no up-convolution, keeps the size. What the ``last`` makes besides the picture nobody
        reads, and may be empty. Without gradients ``x`` is used up.
        """
        if self.is_first:
            x = self.conv1(x, scales[0], noise=noise)
            return x, self.torgb(x, scales[1])
        step = strip_step(x, len(self.conv1.bias))
        if step < x.shape[2]:
            each = [
                self._in_strips(x[n : n + 1], [scale[n : n + 1] for scale in scales], step, noise=noise, last=last)
                for n in range(len(x))
            ]
            return torch.cat([result for result, _ in each]), torch.cat([share for _, share in each])
        x = self.conv1(self.conv0(x, scales[0], noise=noise), scales[1], noise=noise)
        return x, self.torgb(x, scales[2])

    def _in_strips(
        self, x: Tensor, scales: Sequence[Tensor], step: int, *, noise: bool, last: bool
    ) -> tuple[Tensor, Tensor]:
        """Does what ``forward`` does for one picture, ``step`` rows of ``x`` at a time."""
        results, shares = [], []
        for strip in strips(x.shape[2], step):
            # A copy: the next strip reads some of these rows too, and conv0 uses its input up.
            y = self.conv0(channels_last(x[:, :, strip.read].clone()), scales[0], noise=noise, rows=strip.grown)
            y = y[:, :, within(strip.smoothed, strip.grown)]
            y = self.conv1(y, scales[1], noise=noise, rows=strip.smoothed)[:, :, within(strip.kept, strip.smoothed)]
            shares.append(self.torgb(y, scales[2]))
            results.append(y[:, :, :0].clone() if last else y)  # a clone holds nothing of the strip
        return torch.cat(results, dim=2), torch.cat(shares, dim=2)

    def layers(self) -> Iterator[SynthesisLayer | ToRGB]:
        """Yields its layers in the order of their styles."""
        if not self.is_first:
            yield self.conv0
        yield self.conv1
        yield self.torgb


class StyleGAN2Synthesis(Synthesis):
    """w+ [N, num_ws, w_dim] → picture [N, image_channels, H, W]."""

    fir: Tensor | None

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("fir", None, persistent=False)
        channels_in: int | None = None
        for level, channels in enumerate(config.channels):
            size = (config.first[0] << level, config.first[1] << level)
            self.add_module(f"b{size[0]}", Block(channels_in, channels, config, size))
            channels_in = channels

    def blocks(self) -> list[Block]:
        """Returns the blocks, from the smallest; they are registered under the official names b4, b8, …"""
        heights = [self.config.first[0] << level for level in range(len(self.config.channels))]
        return [cast(Block, self.get_submodule(f"b{height}")) for height in heights]

    def freeze(self, dtype: torch.dtype) -> None:
        """Folds the constants of every layer. What is made here is never copied to the device again."""
        first = self.blocks()[0]
        self.fir = self._fir(first.const.device).contiguous()
        for block in self.blocks():
            for layer in block.layers():
                if isinstance(layer, SynthesisLayer):
                    coarse = dtype == torch.bfloat16 and min(layer.noise_const.shape) <= _COARSE
                    layer.freeze(torch.float32 if coarse else dtype)
                else:
                    layer.affine.freeze()
        first.const.data = first.const.data.to(first.conv1.weight.dtype)

    def _fir(self, device: torch.device) -> Tensor:
        """Returns the filter of a picture, [image_channels, 1, 4, 4], for ``upsample2``."""
        return fir_kernel(gain=4.0).to(device).expand(self.config.image_channels, 1, 4, 4)

    def styles(self, ws: Tensor) -> list[Tensor]:
        """Maps w+ to the style space S: one style [N, channels_in] for every layer, in order."""
        # A block's picture shares its row with the next block's first convolution.
        return [
            row_by_row(layer.affine, ws[:, max(2 * level - 1, 0) + offset])
            for level, block in enumerate(self.blocks())
            for offset, layer in enumerate(block.layers())
        ]

    def forward(self, styles: Sequence[Tensor], *, noise: bool = True) -> Tensor:
        """Paints the picture of all layers' styles; the styles of the first blocks alone give a smaller one."""
        fir = self._fir(styles[0].device) if self.fir is None else self.fir
        first, *others = self.blocks()[: (len(styles) + 1) // 3]
        layers = [layer for block in (first, *others) for layer in block.layers()]
        # All of them before anything is painted: between the layers, threads that wait would fall asleep.
        scales = [layer.scales(style) for layer, style in zip(layers, styles, strict=True)]
        x = channels_last(first.const.repeat(len(styles[0]), 1, 1, 1))
        x, image = first(x, scales[:2], noise=noise, last=False)
        for level, block in enumerate(others):
            x, share = block(x, scales[3 * level + 2 : 3 * level + 5], noise=noise, last=block is others[-1])
            image = upsample2(image, fir) + share
        return image


class StyleGAN2(StyleGAN):
    """A StyleGAN2 generator."""

    bfloat16_previews = True
    # Loops of several strips must not become one, which would need the memory of all strips at once.
    compiler_options: ClassVar[Mapping[str, Any]] = {"cpp.max_horizontal_fusion_size": 1}

    config: StyleGAN2Config

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__(config, StyleGAN2Synthesis(config))

    @property
    def paints_half(self) -> bool:
        """All blocks but the last paint it, at a quarter of the cost; one block alone cannot."""
        return len(self.config.channels) > 1

    def synthesize(self, ws: Tensor, *, noise: bool = True) -> Tensor:
        """w+ [N, num_ws, w_dim] → pictures [N, image_channels, H, W] float32, not clamped; differentiable."""
        return self.synthesize_styles(self.styles(ws), noise=noise)

    def synthesize_half(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → pictures [N, image_channels, H/2, W/2], by all blocks but the last: cheap."""
        return self.synthesize_styles(self.styles(ws)[: -3 if len(self.config.channels) > 1 else None])

    def synthesize_styles(self, styles: Sequence[Tensor], *, noise: bool = True) -> Tensor:
        """Styles as ``styles`` gives them → pictures [N, image_channels, H, W]."""
        image: Tensor = self.synthesis(styles, noise=noise)
        return image.contiguous()
