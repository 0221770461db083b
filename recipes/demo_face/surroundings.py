# SPDX-License-Identifier: Apache-2.0
"""Makes blurred backgrounds, and the light that belongs to them, from CC0 panoramas (data/PROVENANCE.md).

A generator cannot learn a choice among panoramas, but it can learn their principal components: the logarithms of
background and irradiance of all panoramas, in all rotations, are factored together, so that a few standard normal
coefficients give both. Irradiance is in spherical harmonics of the second order (Ramamoorthi & Hanrahan, SIGGRAPH
2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, map_coordinates, zoom

from .parameters import SURROUNDINGS

PANORAMAS = Path(__file__).parent / "data" / "panoramas_192x96.npz"
SIZE = 32  # pixels of a background's side: it is out of focus
TURNS = 16
FIELD = np.radians(38.0)  # of view
LEAST = 0.02  # of light, before the logarithm
HUES = 0.45  # share of the hues of light that is kept: cameras balance them
LIGHT_WEIGHT = 4.0  # weight of irradiance in the factorisation, relative to a background's pixels
HUE_WEIGHT = 2.5  # weight of a background's hues, relative to its lightness
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Means and K = SURROUNDINGS components."""

    background: NDArray[np.float32]  # [1 + K, SIZE, SIZE, 3] log(light + LEAST); the mean first
    irradiance: NDArray[np.float32]  # [1 + K, 9, 3] over π, as ``harmonics``

    def at(self, coefficients: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the background [SIZE, SIZE, 3] (linear light) and irradiance / π [9, 3] of ``coefficients`` [K]."""
        weights = np.concatenate([[1.0], coefficients]).astype(np.float32)
        background = np.exp(np.tensordot(weights, self.background, 1)) - LEAST
        return background.clip(0.002, 3.0), np.tensordot(weights, self.irradiance, 1)


def surroundings(path: Path = PANORAMAS) -> Surroundings:
    """Factors all panoramas, in TURNS rotations, seen a little from below and above, in and out of focus."""
    with np.load(path) as stored:
        panoramas = [stored[name].astype(np.float64) for name in stored.files]
    views, lights = [], []
    for panorama in panoramas:
        panorama = _without_suns(panorama)
        for turn in range(TURNS):
            turned = np.roll(panorama, turn * panorama.shape[1] // TURNS, axis=1)
            light, tint = irradiance(turned)
            for rise, defocus in ((-0.04, 1.6), (0.10, 2.6)):
                view = np.log(0.46 * background(turned / tint, rise, defocus) + LEAST)
                views.append(_hues_times(view, HUE_WEIGHT))
                lights.append(0.44 * light)
    flat = np.concatenate(
        [np.reshape(views, (len(views), -1)), LIGHT_WEIGHT * np.reshape(lights, (len(lights), -1))], axis=1
    )
    mean = flat.mean(axis=0)
    _, sizes, components = np.linalg.svd(flat - mean, full_matrices=False)
    rows = np.concatenate([mean[None], components[:SURROUNDINGS] * sizes[:SURROUNDINGS, None] / len(flat) ** 0.5])
    split = SIZE * SIZE * 3
    return Surroundings(
        background=_hues_times(rows[:, :split].reshape(-1, SIZE, SIZE, 3), 1 / HUE_WEIGHT).astype(np.float32),
        irradiance=(rows[:, split:] / LIGHT_WEIGHT).reshape(-1, 9, 3).astype(np.float32),
    )


def _hues_times(colours: Array, factor: float) -> Array:
    """Returns ``colours`` [..., 3] with their difference from grey multiplied by ``factor``."""
    grey = colours.mean(axis=-1, keepdims=True)
    return grey + factor * (colours - grey)


def _without_suns(panorama: Array) -> Array:
    """Limits the few brightest pixels of ``panorama`` [H, 2 H, 3] to three times the brightest of the others."""
    light = panorama.mean(axis=2)
    highest = 3 * np.percentile(light, 99.5)
    return panorama * np.minimum(1, highest / np.maximum(light, 1e-6))[..., None]


def harmonics(directions: Array) -> Array:
    """Maps unit directions [..., 3] (x right, y up, z to the viewer) to nine polynomials [..., 9] up to order two."""
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.stack([np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], axis=-1)


# What makes ``harmonics`` orthonormal, squared, times what a cosine lobe keeps of each order.
_NORMS = np.array([1, 3, 3, 3, 15, 15, 5 / 4, 15, 15 / 4]) / (4 * np.pi)
_LOBE = np.pi * np.array([1, 2 / 3, 2 / 3, 2 / 3, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4])


def irradiance(panorama: Array) -> tuple[Array, Array]:
    """Returns irradiance / π [9, 3], white-balanced and of mean 1, and the mean colour [3] that was divided out."""
    height, width = panorama.shape[:2]
    polar = (np.arange(height) + 0.5) / height * np.pi
    around = (np.arange(width) + 0.5) / width * 2 * np.pi - np.pi
    directions = np.stack(
        np.broadcast_arrays(
            np.sin(polar)[:, None] * np.sin(around), np.cos(polar)[:, None], np.sin(polar)[:, None] * np.cos(around)
        ),
        axis=-1,
    )
    solid = np.sin(polar)[:, None, None] * (np.pi / height) * (2 * np.pi / width)
    mean = (panorama * solid).sum(axis=(0, 1)) / (4 * np.pi)
    moments = np.tensordot(harmonics(directions), panorama * solid, axes=([0, 1], [0, 1]))
    light = moments * (_NORMS * _LOBE / np.pi)[:, None]
    light = light / light[0]
    return _hues_times(light, HUES), mean


def background(panorama: Array, rise: float, defocus: float) -> Array:
    """Returns [SIZE, SIZE, 3] what is behind the head, ``rise`` (a tangent) above its centre, out of focus."""
    height, width = panorama.shape[:2]
    size = 4 * SIZE
    across = ((np.arange(size) + 0.5) / size * 2 - 1) * np.tan(FIELD / 2)
    x, y = np.meshgrid(across, rise - across)
    directions = np.stack([x, y, -np.ones_like(x)], axis=-1)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    u = (np.arctan2(directions[..., 0], directions[..., 2]) / (2 * np.pi) + 0.5) * width - 0.5
    v = np.arccos(directions[..., 1]) / np.pi * height - 0.5
    seen = np.stack([map_coordinates(panorama[..., c], [v, u % width], order=1, mode="grid-wrap") for c in range(3)])
    seen = np.maximum(_hues_times(np.minimum(seen, 6.0).transpose(1, 2, 0), 0.7), 0)
    reach = int(2 * defocus) + 1
    j, i = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(2 * defocus + 0.5 - np.hypot(i, j), 0, 1)
    blurred = convolve(seen, disc[..., None] / disc.sum(), mode="reflect")
    return blurred.reshape(SIZE, 4, SIZE, 4, 3).mean(axis=(1, 3))


def enlarging(size: int) -> NDArray[np.float32]:
    """Returns the matrix [size, SIZE] that enlarges rows or columns of a background smoothly."""
    return zoom(np.eye(SIZE), (size / SIZE, 1), order=3, grid_mode=True, mode="nearest").astype(np.float32)


def enlarged(picture: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Enlarges a background [SIZE, SIZE, 3] to [size, size, 3] with a matrix from ``enlarging``."""
    return np.einsum("yj,jic,xi->yxc", matrix, picture, matrix, optimize=True).clip(0.002)
