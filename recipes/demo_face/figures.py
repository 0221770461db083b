# SPDX-License-Identifier: Apache-2.0
"""Compares a generator with the renderer, for which the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from effigy.generators.networks.stylegan2 import StyleGAN2

from .latents import TRUNCATION, drawn, paint_vectors
from .parameters import column
from .planes import ALPHA, NORMAL, RGB, planes_of
from .renderer import Renderer, Rendering

# The parameters that are moved to measure edit gain: from, to (standard deviations).
MOVES = {
    "yaw": ("yaw", -1.5, 1.5),
    "pitch": ("pitch", -1.5, 1.5),
    "jaw": ("jaw", 0.0, 2.0),
    "smile": ("smile", -1.5, 1.5),
    "pucker": ("pucker", 0.0, 2.0),
    "lower lip": ("lower_lip", 0.0, 3.0),
    "blink right": ("lids.0", 0.0, 2.0),
    "blink left": ("lids.1", 0.0, 2.0),
    "eyes wide": ("eyes_wide", -1.0, 2.0),
    "brow right": ("brows.0", -1.5, 1.5),
    "brow left": ("brows.1", -1.5, 1.5),
    "inner brows": ("inner_brow", -0.5, 2.0),
    "gaze across": ("gaze.0", -1.5, 1.5),
    "gaze up": ("gaze.1", -1.5, 1.5),
    "hair length": ("hair_length", -1.5, 1.5),
    "woman": ("woman", -0.5, 0.5),
    "melanin": ("tone.0", -1.0, 1.0),
}
SEED = 987654  # of people whom no training saw


@dataclass(frozen=True, slots=True)
class Figures:
    psnr: float  # dB, of RGB, mean over pictures
    sharpness: float  # Laplacian energy in the face's box, generated over rendered
    alpha: float  # mean error, percent
    normals: float  # mean angle between generated and rendered normals in the face's box, degrees
    gains: dict[str, float]  # ⟨ΔG, ΔR⟩ / ⟨ΔR, ΔR⟩ of RGB for one parameter moved


def measure(network: StyleGAN2, renderer: Renderer, pictures: int = 256, people: int = 24) -> Figures:
    """Measures on parameters that no training saw, of people as users draw them (takes minutes)."""
    vectors = drawn(pictures, SEED)
    renderings = [renderer(vector) for vector in vectors]
    rendered, painted = to_tensor(renderings), paint_vectors(network, vectors)
    error = (painted - rendered) / 2
    squares = error[:, RGB].square().mean(dim=(1, 2, 3))
    energies: tuple[list[float], list[float]] = ([], [])
    angles: list[Tensor] = []
    for k, rendering in enumerate(renderings):
        box = face_box(rendering)
        for energy, planes in zip(energies, (painted[k], rendered[k]), strict=True):
            energy.append(laplacian_energy(planes[RGB][box]))
        cosines = F.cosine_similarity(painted[k, NORMAL][box], rendered[k, NORMAL][box], dim=0)
        angles.append(torch.rad2deg(cosines.clamp(-1, 1).acos()).mean())
    return Figures(
        psnr=float((-10 * squares.log10()).mean()),
        sharpness=sum(energies[0]) / sum(energies[1]),
        alpha=100 * float(error[:, ALPHA].abs().mean()),
        normals=float(torch.stack(angles).mean()),
        gains={name: gain(network, renderer, *move, people) for name, move in MOVES.items()},
    )


def gain(network: StyleGAN2, renderer: Renderer, name: str, low: float, high: float, people: int) -> float:
    """Returns how much of the renderer's change of the picture the generator makes when one parameter moves."""
    vectors = drawn(people, SEED + 1, TRUNCATION)
    ends = [moved(vectors, name, value) for value in (low, high)]
    painted = paint_vectors(network, ends[1]) - paint_vectors(network, ends[0])
    rendered = to_tensor([renderer(v) for v in ends[1]]) - to_tensor([renderer(v) for v in ends[0]])
    painted, rendered = painted[:, RGB], rendered[:, RGB]
    return float((painted * rendered).sum() / rendered.square().sum())


def moved(vectors: np.ndarray, name: str, value: float) -> np.ndarray:
    out = vectors.copy()
    out[:, column(name)] = value
    return out


def to_tensor(renderings: list[Rendering]) -> Tensor:
    """Returns [N, PLANES, S, S] in [−1, 1]."""
    planes = np.stack([planes_of(rendering) for rendering in renderings])
    return torch.from_numpy(planes).permute(0, 3, 1, 2).float() / 127.5 - 1


def face_box(rendering: Rendering) -> tuple[slice, slice, slice]:
    """Returns the pixels around the 68 landmarks, as an index of planes [C, S, S]."""
    size = len(rendering.picture)
    left, top = np.floor(rendering.landmarks[:68].min(axis=0)).astype(int).clip(0, size - 3)
    right, bottom = np.ceil(rendering.landmarks[:68].max(axis=0)).astype(int).clip(3, size)
    return slice(None), slice(top, bottom), slice(left, right)


def laplacian_energy(picture: Tensor) -> float:
    """Returns the sum of squares of the Laplacian of the grey version of a picture [3, H, W]."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return float(F.conv2d(picture.mean(dim=0)[None, None], kernel).square().sum())
