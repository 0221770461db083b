# SPDX-License-Identifier: Apache-2.0
"""StyleGAN2's resampling: its binomial filter, and up-convolutions as convolutions of their four phases."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fir_kernel(gain: float) -> Tensor:
    """Returns the separable binomial low-pass filter [4, 4] of every resampling, with the sum ``gain``."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps)
    return kernel * (gain / kernel.sum())


def upsample2(image: Tensor, fir: Tensor) -> Tensor:
    """[N, C, H, W] → [N, C, 2H, 2W], zeros inserted, filtered by ``fir`` [C, 1, 4, 4], as the official upsample2d."""
    return F.conv_transpose2d(image, fir, stride=2, padding=1, groups=len(fir))


def phase_weights(weight: Tensor) -> Tensor:
    """[out, in, 3, 3] of an up-convolution → [4 · out, in, 3, 3]: filtered, and one kernel for each of its four phases.

    Up-convolution and FIR filter together are a convolution of 6 × 6 taps, of which every second meets a zero that was
    inserted. ``phases_to_space`` puts the four results in their places.
    """
    C_out, C_in = weight.shape[:2]
    # conv_transpose2d scatters W; what it does followed by a filter is scattering W convolved with the filter.
    fir = fir_kernel(gain=4.0).to(weight)
    six = F.conv2d(weight.reshape(-1, 1, 3, 3), fir[None, None], padding=3).view(C_out, C_in, 6, 6)
    taps = [[4, 2, 0], [5, 3, 1]]  # of the even and the odd output, from the input before to the one behind
    return torch.cat([six[:, :, rows][:, :, :, columns] for rows in taps for columns in taps])


def phases_to_space(x: Tensor) -> Tensor:
    """[N, 4 · C, h, w] → [N, C, 2 h, 2 w], channels last: phase (row, column) is the slower index of the channels."""
    N, C, h, w = x.shape
    phases = x.permute(0, 2, 3, 1).view(N, h, w, 2, 2, C // 4)
    return phases.permute(0, 1, 3, 2, 4, 5).reshape(N, 2 * h, 2 * w, C // 4).permute(0, 3, 1, 2)
