# SPDX-License-Identifier: Apache-2.0
"""Colour ramps of hair and irises, in linear light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def linear(srgb: Array) -> Array:
    """Converts sRGB in 0 … 1 to linear light."""
    return np.where(srgb < 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True, slots=True)
class Ramp:
    """A colour ramp: positions in 0…1 and linear colours."""

    positions: tuple[float, ...]
    colours: Array

    @classmethod
    def of(cls, *stops: tuple[float, tuple[int, int, int]]) -> Ramp:
        return cls(tuple(t for t, _ in stops), linear(np.array([rgb for _, rgb in stops]) / 255))


def ramp(position: float, colours: Ramp) -> Array:
    return np.array([np.interp(position, colours.positions, colours.colours[:, channel]) for channel in range(3)])


# fmt: off
HAIR = Ramp.of((0, (24, 20, 19)), (.3, (48, 34, 27)), (.5, (84, 58, 42)), (.68, (128, 92, 62)),
               (.86, (184, 148, 100)), (1, (222, 198, 152)))
IRIS = Ramp.of((0, (62, 40, 24)), (.4, (92, 62, 34)), (.6, (104, 92, 52)), (.74, (92, 112, 84)),
               (.86, (92, 124, 148)), (1, (132, 152, 168)))
# fmt: on
