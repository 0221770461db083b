# SPDX-License-Identifier: Apache-2.0
"""Estimates the smooth light in a picture from its brightness and the surface's normals, to divide it out.

Light from far away on a matt surface is a polynomial of second degree in the normal (Ramamoorthi and Hanrahan, *An
Efficient Representation for Irradiance Environment Maps*, 2001): I = ρ · Σ cₖ Yₖ(n), with ρ the colour without light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]

_ROUNDS = 8  # of reweighting, in which eyes, brows and lips come to count less
_FAR = 0.15  # residual, in mean brightness, at which a pixel's weight is halved
_STILL = 3e-2  # ridge penalty of all coefficients but the first, for each pixel
_DARKEST, _BRIGHTEST = 0.25, 4.0  # of the mean light: where normals are wrong, division must not burn
_SAMPLES = 4096  # pixels, which are enough for nine coefficients


@dataclass(frozen=True, slots=True)
class Light:
    """``coefficients`` [9, 3] of linear red, green and blue. On the surface that it was read from its mean is 1."""

    coefficients: Plane

    def on(self, normal: Plane) -> Plane:
        """Returns the light on a surface with ``normal`` [..., 3], [..., 3], bounded so that it can be divided by."""
        return (harmonics(normal) @ self.coefficients).clip(_DARKEST, _BRIGHTEST).astype(np.float32)


def estimate_light(picture: Plane, normal: Plane, weight: Plane) -> Light:
    """Estimates the light in a linear ``picture`` [H, W, 3] of a surface with ``normal`` [H, W, 3].

    ``weight`` [H, W] in [0, 1] says where there is skin. It is a robust least-squares fit: what differs from the skin's
    colour in that light, such as brows and lips, counts less.
    """
    rows = np.flatnonzero(weight > 0)
    rows = rows[:: max(1, len(rows) // _SAMPLES)]
    if not len(rows):
        return _even()
    basis = harmonics(normal.reshape(-1, 3)[rows].astype(np.float64))
    seen, trust = picture.reshape(-1, 3)[rows].astype(np.float64), weight.reshape(-1)[rows].astype(np.float64)
    level = (trust[:, None] * seen).sum(axis=0) / trust.sum()
    if not (level > 0).all():
        return _even()
    seen = seen / level
    still = _STILL * len(rows) * np.diag([0.0] + [1.0] * 8)
    weights = trust
    for _ in range(_ROUNDS):
        weighted = basis * weights[:, None]
        coefficients = np.linalg.solve(weighted.T @ basis + still, weighted.T @ seen)
        away = np.abs(seen - basis @ coefficients).mean(axis=1)
        weights = trust / (1 + (away / _FAR) ** 2)
    mean = (trust[:, None] * (basis @ coefficients)).sum(axis=0) / trust.sum()
    return Light(coefficients / mean)


def harmonics(normal: Plane) -> Plane:
    """Computes polynomials [..., 9] of unit vectors [..., 3] up to the second degree, each of about the same size."""
    x, y, z = np.moveaxis(normal, -1, 0)
    return np.stack([np.ones_like(x), x, y, z, 2 * x * y, 2 * y * z, 2 * x * z, x * x - y * y, 1.5 * z * z - 0.5], -1)


def _even() -> Light:
    """Returns light from everywhere, for pictures that tell no more."""
    return Light(np.concatenate([np.ones((1, 3)), np.zeros((8, 3))]))
