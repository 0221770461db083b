# SPDX-License-Identifier: Apache-2.0
"""Develops linear light into a picture: the lens's blur, tone, and any background behind the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .kernels import Canvas, gather

BLUR = 0.45  # pixels, standard deviation
HAIR_BLUR = 2.5  # pixels of 256: smoothing of the depth whose slope gives the normals of hair
CORNERS = 0.126  # half of the share of a background's light that is missing in the corners
Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Film:
    """What the camera saw of head, hair and clothes, S × S pixels."""

    light: Plane  # [S, S, 3] linear, premultiplied by alpha
    alpha: Plane  # [S, S] 0 … 1
    normal: Plane  # [S, S, 3] camera space (x right, y up, z to the viewer), of length alpha
    depth: Plane  # [S, S] cm towards the viewer from the neck's axis, times alpha

    @classmethod
    def of(cls, canvas: Canvas, normals: Plane, triangles: NDArray[np.int32], size: int, scale: float) -> Film:
        """Develops ``canvas``; ``normals`` [V, 3] are those of its vertices, ``scale`` is in pixels per cm."""
        light, normal = np.empty((size, size, 3), np.float32), np.empty((size, size, 3), np.float32)
        alpha, depth = np.empty((size, size), np.float32), np.empty((size, size), np.float32)
        gather(canvas, normals, triangles, len(canvas.depth) // size, light, alpha, normal, depth)
        normal = with_hair(normal, alpha, depth, scale)
        # The lens blurs light and alpha alike, so that the edge stays exact before any background.
        light, normal = (gaussian_filter(plane, (BLUR, BLUR, 0)) for plane in (light, normal))
        alpha, depth = (gaussian_filter(plane, BLUR) for plane in (alpha, depth))
        return cls(light, alpha, normal, depth)

    def over(self, background: Plane) -> NDArray[np.uint8]:
        """Returns [S, S, 3] sRGB: the head in front of ``background`` [S, S, 3], which is linear."""
        return toned(self.light + (1 - self.alpha)[..., None] * background)


def with_hair(normal: Plane, alpha: Plane, depth: Plane, scale: float) -> Plane:
    """Fills ``normal`` [S, S, 3], which is zero where strands are nearest, up to ``alpha`` by the slope of the smoothed
    depth."""
    blur = HAIR_BLUR * len(alpha) / 256
    smooth = gaussian_filter(depth, blur) / (gaussian_filter(alpha, blur) + 1e-4)
    down, across = np.gradient(smooth)
    slope = np.stack([-across * scale, down * scale, np.ones_like(across)], axis=-1)
    slope /= np.linalg.norm(slope, axis=-1, keepdims=True)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    filled = normal + np.maximum(alpha[..., None] - length, 0) * slope
    filled *= alpha[..., None] / (np.linalg.norm(filled, axis=-1, keepdims=True) + 1e-6)
    return filled.astype(np.float32)


def darker_corners(background: Plane) -> Plane:
    """Returns ``background`` [S, S, 3] with the darker corners that a lens gives it."""
    across = (np.arange(len(background)) + 0.5) / len(background) * 2 - 1
    fall = 1 - CORNERS * (across[:, None] ** 2 + across[None] ** 2)
    return (background * fall[..., None]).astype(np.float32)


def toned(light: Plane) -> NDArray[np.uint8]:
    """Maps linear light to 8 bits of sRGB, with a soft shoulder and some contrast."""
    light = np.where(light > 0.5, 0.5 + 0.48 * (1 - np.exp((0.5 - light) / 0.48)), light).clip(0, 1)
    tone = np.where(light < 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-6) ** (1 / 2.4) - 0.055)
    tone = tone + 0.24 * (tone - 0.5) * tone * (1 - tone)
    return (255 * tone + 0.5).clip(0, 255).astype(np.uint8)
