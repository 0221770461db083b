# SPDX-License-Identifier: Apache-2.0
"""Low-pass filters and resampling by them, as StyleGAN3 needs: Karras et al. 2021, appendix C."""

from __future__ import annotations

import numpy as np
import scipy.signal
import scipy.special
import torch
import torch.nn.functional as F
from torch import Tensor


def design_lowpass(taps: int, cutoff: float, width: float, rate: float, *, radial: bool = False) -> Tensor | None:
    """A Kaiser-windowed low-pass filter: [taps] to be applied along both axes, or radial, [taps, taps].

    ``cutoff`` and the transition's ``width`` are in the unit of the sampling ``rate``. None for a single tap.
    """
    if taps == 1:
        return None
    if not radial:
        return torch.from_numpy(scipy.signal.firwin(taps, cutoff, width=width, fs=rate)).float()
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(*np.meshgrid(x, x))
    jinc = scipy.special.j1(2 * np.pi * cutoff * radius) / (np.pi * radius)
    beta = scipy.signal.kaiser_beta(scipy.signal.kaiser_atten(taps, width / (rate / 2)))
    window = np.kaiser(taps, beta)
    kernel = jinc * np.outer(window, window)
    return torch.from_numpy(kernel / kernel.sum()).float()


def upsample(x: Tensor, taps: Tensor, factor: int, crop: int) -> Tensor:
    """[N, C, H, W] → sampled ``factor`` times as finely, filtered by ``taps`` [T] along both axes.

    ``crop`` samples are cut off all around. Zeros are never inserted: each output reads its own taps alone.
    """
    C = x.shape[1]
    taps = (taps * factor).to(x.dtype)
    x = F.conv_transpose2d(
        x, taps[:, None].expand(C, 1, -1, 1), stride=(factor, 1), padding=(crop, 0), groups=C
    )
    return F.conv_transpose2d(x, taps.expand(C, 1, 1, -1), stride=(1, factor), padding=(0, crop), groups=C)


def downsample(x: Tensor, kernel: Tensor, factor: int) -> Tensor:
    """[N, C, H, W] → filtered by ``kernel`` ([T] along both axes, or [T, T]), every ``factor``-th sample of it."""
    C = x.shape[1]
    kernel = kernel.flip(dims=tuple(range(kernel.ndim))).to(x.dtype)
    if kernel.ndim == 2:
        return F.conv2d(x, kernel.expand(C, 1, -1, -1), stride=factor, groups=C)
    x = F.conv2d(x, kernel.expand(C, 1, 1, -1), stride=(1, factor), groups=C)
    return F.conv2d(x, kernel[:, None].expand(C, 1, -1, 1), stride=(factor, 1), groups=C)
