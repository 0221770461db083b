# SPDX-License-Identifier: Apache-2.0
"""Matches the colours of a painted picture to those of the photograph that it is pasted into."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_MOST_GAIN = 1.5  # limit of the change of a channel's contrast
# Ottosson, *A perceptual color space for image processing*, 2020: linear sRGB → cone responses → Oklab.
_CONES = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=torch.float32,
)
_OKLAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=torch.float32,
)


@dataclass(frozen=True, slots=True)
class ColourMatch:
    """Changes the mean and the contrast of Oklab's channels: x → (x − mean) · gain + wanted, each [1, 3, 1, 1]."""

    mean: Tensor
    gain: Tensor
    wanted: Tensor

    @staticmethod
    def between(painted: Tensor, under: Tensor, where: Tensor) -> ColourMatch:
        """Computes the match that gives ``painted`` the colours of ``under``, where ``where`` [1, 1, h, w] is positive.

        Both are sRGB [1, 3, h, w] in 0 … 255.
        """
        share = where / where.sum().clamp_min(1e-9)
        labs = _to_oklab(painted), _to_oklab(under)
        (mean, spread), (wanted, wanted_spread) = (_moments(lab, share) for lab in labs)
        gain = (wanted_spread / spread.clamp_min(1e-4)).clamp(1 / _MOST_GAIN, _MOST_GAIN)
        return ColourMatch(mean, gain, wanted)

    def __call__(self, painted: Tensor) -> Tensor:
        """Returns the picture [1, 3, h, w] in the other's colours; outside of sRGB they are beyond 0 … 255."""
        return _from_oklab((_to_oklab(painted) - self.mean) * self.gain + self.wanted)


def _moments(lab: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    mean = (lab * share).sum(dim=(2, 3), keepdim=True)
    return mean, ((lab - mean).square() * share).sum(dim=(2, 3), keepdim=True).sqrt()


def _to_oklab(picture: Tensor) -> Tensor:
    """Converts sRGB [1, 3, h, w] in 0 … 255 to Oklab."""
    x = picture / 255
    linear = torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0) + 0.055) / 1.055) ** 2.4)
    cones = torch.einsum("ij,njhw->nihw", _CONES, linear).clamp_min(0) ** (1 / 3)
    return torch.einsum("ij,njhw->nihw", _OKLAB, cones)


def _from_oklab(lab: Tensor) -> Tensor:
    cones = torch.einsum("ij,njhw->nihw", torch.linalg.inv(_OKLAB), lab) ** 3
    linear = torch.einsum("ij,njhw->nihw", torch.linalg.inv(_CONES), cones)
    x = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0) ** (1 / 2.4) - 0.055)
    return 255 * x
