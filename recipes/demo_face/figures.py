# SPDX-License-Identifier: Apache-2.0
"""Measures a generator against the renderer, where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.generators.stylegan2 import StyleGAN2

from .latents import paint_vectors
from .parameters import column, sample
from .renderer import Renderer, Rendering

# Which parameters are moved for the edit gain, from where to where (standard deviations).
MOVES = {
    "yaw": ("yaw", -1.5, 1.5),
    "pitch": ("pitch", -1.5, 1.5),
    "jaw": ("jaw", 0.0, 2.0),
    "smile": ("smile", -0.5, 1.5),
    "pucker": ("pucker", 0.0, 2.0),
    "brow": ("brow", -1.5, 1.5),
    "blink": ("blink", 0.0, 2.0),
    "wink left": ("wink", 0.0, 2.0),
    "wink right": ("wink", 0.0, -2.0),
    "gaze across": ("gaze.0", -1.5, 1.5),
    "gaze up": ("gaze.1", -1.5, 1.5),
    "hair length": ("hair_length", -1.5, 1.5),
}
SEED = 987654  # of people that no training saw


@dataclass(frozen=True, slots=True)
class Figures:
    psnr: float  # dB, mean over pictures
    sharpness: float  # Laplacian energy in the face's box, generated over rendered
    gains: dict[str, float]  # ⟨ΔG, ΔR⟩ / ⟨ΔR, ΔR⟩ for one parameter moved


def measure(network: StyleGAN2, renderer: Renderer, pictures: int = 256, people: int = 24) -> Figures:
    """The figures on parameters that no training saw (a minute)."""
    vectors = sample(pictures, SEED)
    renderings = [renderer(vector) for vector in vectors]
    rendered, painted = to_tensor(renderings), paint_vectors(network, vectors)
    squares = ((painted - rendered) / 2).square().mean(dim=(1, 2, 3))
    energies = [
        sum(laplacian_energy(picture, rendering) for picture, rendering in zip(images, renderings, strict=True))
        for images in (painted, rendered)
    ]
    return Figures(
        psnr=float((-10 * squares.log10()).mean()),
        sharpness=energies[0] / energies[1],
        gains={name: gain(network, renderer, *move, people) for name, move in MOVES.items()},
    )


def gain(network: StyleGAN2, renderer: Renderer, name: str, low: float, high: float, people: int) -> float:
    """How much of the renderer's change of picture the generator makes when one parameter moves."""
    vectors = 0.6 * sample(people, SEED + 1)
    ends = [moved(vectors, name, value) for value in (low, high)]
    painted = paint_vectors(network, ends[1]) - paint_vectors(network, ends[0])
    rendered = to_tensor([renderer(v) for v in ends[1]]) - to_tensor([renderer(v) for v in ends[0]])
    return float((painted * rendered).sum() / rendered.square().sum())


def moved(vectors: np.ndarray, name: str, value: float) -> np.ndarray:
    out = vectors.copy()
    out[:, column(name)] = value
    return out


def to_tensor(renderings: list[Rendering]) -> Tensor:
    pictures = np.stack([rendering.picture for rendering in renderings])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def laplacian_energy(picture: Tensor, rendering: Rendering) -> float:
    """Sum of squares of the Laplacian of the grey picture within the landmarks' box."""
    size = picture.shape[-1]
    left, top = np.floor(rendering.landmarks.min(axis=0)).astype(int).clip(0, size - 3)
    right, bottom = np.ceil(rendering.landmarks.max(axis=0)).astype(int).clip(3, size)
    grey = picture.mean(dim=0)[None, None, top:bottom, left:right]
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return float(F.conv2d(grey, kernel).square().sum())
