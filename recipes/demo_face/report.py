# SPDX-License-Identifier: Apache-2.0
"""Writes sheets of a generator's pictures beside the renderer's, and its figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from effigy.generators.networks.stylegan2 import StyleGAN2

from .dataset import contact_sheet, to_pictures
from .figures import MOVES, SEED, measure, moved
from .latents import TRUNCATION, drawn, paint_vectors
from .planes import ALPHA, DEPTH, NORMAL, RGB, planes_of
from .renderer import Renderer

STEPS = 7


def report(network: StyleGAN2, renderer: Renderer, out: Path) -> None:
    """Writes ``pairs.png`` (renders above, pictures below), ``sweeps``, ``people``, ``planes`` and ``figures.json``."""
    out.mkdir(parents=True, exist_ok=True)
    figures = measure(network, renderer)
    (out / "figures.json").write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
    vectors = drawn(24, SEED + 2, TRUNCATION)
    pairs = [row for part in np.split(vectors, 2) for row in (render(renderer, part), paint(network, part))]
    iio.imwrite(out / "pairs.png", contact_sheet(np.concatenate(pairs), 12))
    iio.imwrite(out / "planes.png", contact_sheet(planes(network, renderer, vectors[:6]), 8))
    iio.imwrite(out / "people.png", contact_sheet(paint(network, drawn(60, SEED + 3, TRUNCATION)), 12))
    rows = []
    base = drawn(1, SEED + 9, TRUNCATION)
    for name, low, high in MOVES.values():
        steps = np.concatenate([moved(base, name, value) for value in np.linspace(low, high, STEPS)])
        rows.append(np.concatenate([render(renderer, steps), paint(network, steps)]))
    iio.imwrite(out / "sweeps.png", contact_sheet(np.concatenate(rows), 2 * STEPS))


def render(renderer: Renderer, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.stack([renderer(vector).picture for vector in vectors])


def paint(network: StyleGAN2, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    return to_pictures(paint_vectors(network, vectors))[..., RGB]


def planes(network: StyleGAN2, renderer: Renderer, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns [8 · N, S, S, 3]: RGB, alpha, normals and depth of every vector, rendered and painted."""
    painted, rows = to_pictures(paint_vectors(network, vectors)), []
    for vector, picture in zip(vectors, painted, strict=True):
        for each in (planes_of(renderer(vector)), picture):
            rows += [each[..., RGB], each[..., ALPHA].repeat(3, 2), each[..., NORMAL], each[..., DEPTH].repeat(3, 2)]
    return np.stack(rows)
