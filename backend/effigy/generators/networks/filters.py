# SPDX-License-Identifier: Apache-2.0
"""Low-pass filters and resampling by them, as StyleGAN3 needs: Karras et al. 2021, appendix C."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .operations import channels_last, may_overwrite

_CACHED = 24e6  # bytes: what of an upsampled signal a CPU keeps near. Measured: 1.6 times faster than all at once
_KEPT = 64  # taps up to which a filter is remembered: opening a file designs its network more than once
_LANES = 16  # channels that vector units take together


def design_lowpass(taps: int, cutoff: float, width: float, rate: float, *, radial: bool = False) -> Tensor | None:
    """Designs a Kaiser-windowed low-pass filter: [taps], to be applied along both axes, or radial, [taps, taps].

    ``cutoff`` and the transition's ``width`` are in the unit of the sampling ``rate``. None for a single tap.
    """
    if taps == 1:
        return None
    design = _lowpass if taps <= _KEPT else _lowpass.__wrapped__
    return torch.from_numpy(design(taps, cutoff, width, rate, radial).copy()).float()


@lru_cache(maxsize=256)
def _lowpass(taps: int, cutoff: float, width: float, rate: float, radial: bool) -> NDArray[np.float64]:
    import scipy.signal  # takes a second, which only StyleGAN3 should cost
    import scipy.special

    if not radial:
        return np.asarray(scipy.signal.firwin(taps, cutoff, width=width, fs=rate))
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(*np.meshgrid(x, x))
    jinc = scipy.special.j1(2 * np.pi * cutoff * radius) / (np.pi * radius)
    beta = scipy.signal.kaiser_beta(scipy.signal.kaiser_atten(taps, width / (rate / 2)))
    window = np.kaiser(taps, beta)
    kernel = jinc * np.outer(window, window)
    return np.asarray(kernel / kernel.sum())


def filtered_leaky_relu(
    x: Tensor, clamp: float | None, taps: Tensor, up: int, crop: tuple[int, int], kernel: Tensor, down: int
) -> Tensor:
    """Upsamples, applies leaky ReLU and clamp, and samples down again: the nonlinearity between two filters.

    [N, C, H, W] → [N, C, H', W']. On CPUs a few channels at a time.
    """
    inplace = may_overwrite()

    def of_channels(x: Tensor) -> Tensor:
        x = F.leaky_relu(upsample(x, taps, up, crop), 0.2, inplace=inplace)
        return downsample(x if clamp is None else F.hardtanh(x, -clamp, clamp, inplace=inplace), kernel, down)

    if x.device.type != "cpu":
        return of_channels(x)
    bytes_each = x[:, 0].numel() * up**2 * x.element_size()
    together = max(int(_CACHED / bytes_each) // _LANES * _LANES, _LANES)
    return channels_last(
        torch.cat([of_channels(channels_last(part)) for part in torch.split(x, together, dim=1)], dim=1)
    )


def upsample(x: Tensor, taps: Tensor, factor: int, crop: tuple[int, int]) -> Tensor:
    """[N, C, H, W] → sampled ``factor`` times as finely, filtered by ``taps`` [T] along both axes.

    ``crop`` samples are cut off above and below, and left and right. Zeros are never inserted: each output reads its
    own taps alone.
    """
    C = x.shape[1]
    taps = (taps * factor).to(x.dtype)
    x = F.conv_transpose2d(x, taps[:, None].expand(C, 1, -1, 1), stride=(factor, 1), padding=(crop[0], 0), groups=C)
    return F.conv_transpose2d(x, taps.expand(C, 1, 1, -1), stride=(1, factor), padding=(0, crop[1]), groups=C)


def downsample(x: Tensor, kernel: Tensor, factor: int) -> Tensor:
    """[N, C, H, W] → filtered by ``kernel`` ([T] along both axes, or [T, T]), every ``factor``-th sample of it."""
    C = x.shape[1]
    kernel = kernel.flip(dims=tuple(range(kernel.ndim))).to(x.dtype)
    if kernel.ndim == 2:
        return F.conv2d(x, kernel.expand(C, 1, -1, -1), stride=factor, groups=C)
    x = F.conv2d(x, kernel.expand(C, 1, 1, -1), stride=(1, factor), groups=C)
    return F.conv2d(x, kernel[:, None].expand(C, 1, -1, 1), stride=(factor, 1), groups=C)
