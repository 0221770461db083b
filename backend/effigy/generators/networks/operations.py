# SPDX-License-Identifier: Apache-2.0
"""What the convolutions of StyleGAN2 and StyleGAN3 share: modulation, memory layout, in-place arithmetic."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SQRT2 = math.sqrt(2.0)


def check_clamp(clamp: float | None) -> None:
    """Raises ValueError for a clamp that is not a positive finite number."""
    if clamp is not None and not 0 < clamp < math.inf:
        raise ValueError(f"activations cannot be clamped to {clamp}")


def energy(weight: Tensor) -> Tensor:
    """[out, in, kh, kw] → [in, out]: Σ W² of each pair of channels, which demodulation divides by."""
    return weight.float().square().sum(dim=(2, 3)).T.contiguous()


def modulate(x: Tensor, style: Tensor) -> Tensor:
    """Multiplies ``x`` [N, C, H, W] by ``style`` [N, C].

    Without gradients it does so in place, because new memory costs more time than the arithmetic.
    """
    factor = style[:, :, None, None].to(x.dtype)
    return x.mul_(factor) if may_overwrite() else x * factor


def may_overwrite() -> bool:
    """Returns whether activations may be changed in place: no gradient needs them, and no compiler (which fuses better)
    is at work.
    """
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling())


def channels_last(x: Tensor) -> Tensor:
    """Returns ``x`` [N, C, H, W] in PyTorch's channels-last memory format, in which convolutions are faster."""
    return x.contiguous(memory_format=torch.channels_last)


def has_matrix_units() -> bool:
    """Returns whether this CPU multiplies bfloat16 matrices in hardware (AMX), so that memory is the bottleneck."""
    return bool(torch.cpu._is_amx_tile_supported())
