# SPDX-License-Identifier: Apache-2.0
"""Sampled pictures of a generator as latents and landmarks, in shards on disk so that a long run resumes.

A shard's content depends on the seed and its number alone: not on batches, on interruptions or on how many
shards there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..array_files import read_arrays
from ..files import is_file, read_json
from ..generators import Generator, check_pictures
from ..landmarks import Detector

SHARD = 500  # pictures
_BATCH = 10

Latent = Literal["w", "w+"]
Progress = Callable[[str, int, int], None]


class SamplesError(Exception):
    """A folder of samples that belongs to something else; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What samples depend on besides their number. ``latent``: w, or w+ with half of the samples style-mixed."""

    generator_sha256: str
    detector: str
    seed: int
    latent: Latent = "w"
    shard: int = SHARD


def sample(
    generator: Generator, detector: Detector, recipe: Recipe, count: int, folder: Path, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``count`` random latents [N, rows, w_dim] (1 row of w, all of w+) and the landmarks W [N, 2, L] in [0, 1]
    that the detector finds in their pictures.

    Shards that ``folder`` has already are read, the others made and written. Raises SamplesError.
    """
    _claim(folder, recipe)
    latents, points = [], []
    shards = -(-count // SHARD)
    for number in range(shards):
        path = folder / f"shard_{number:05d}.npz"
        if not is_file(path):
            _make(path, generator, detector, np.random.RandomState([recipe.seed, number]), recipe.latent)
        try:
            shard = read_arrays(path)
            latents.append(shard["ws"].astype(np.float64))
            points.append(shard["W"].astype(np.float64))
        except (ValueError, KeyError) as error:
            raise SamplesError(f"the samples {path} are damaged ({error}): remove the file, and run again") from None
        progress("sample", min((number + 1) * SHARD, count), count)
    return np.concatenate(latents)[:count], np.concatenate(points)[:count]


@torch.inference_mode()
def _make(path: Path, generator: Generator, detector: Detector, random: np.random.RandomState, latent: Latent) -> None:
    z = torch.from_numpy(random.randn(SHARD, generator.z_dim)).float()
    cut = generator.num_ws
    latents, points = [], []
    for start in range(0, SHARD, _BATCH):
        ws = generator.map(z[start : start + _BATCH].to(generator.device))
        if latent == "w+":
            # Every other picture takes its fine layers from its neighbour, from a random layer on.
            cuts = torch.from_numpy(random.randint(1, cut, len(ws))).to(ws.device)
            cuts[::2] = cut
            fine = (torch.arange(cut, device=ws.device) >= cuts[:, None])[:, :, None]
            ws = torch.where(fine, ws.roll(1, dims=0), ws)
        latents.append((ws if latent == "w+" else ws[:, :1]).cpu().numpy())
        pictures = generator.synthesize(ws)
        check_pictures(pictures, generator, ws)
        points.append(detector.detect(pictures).cpu().numpy())
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, ws=np.concatenate(latents), W=np.concatenate(points))
    temporary.replace(path)


def _claim(folder: Path, recipe: Recipe) -> None:
    """Makes ``folder`` the place of this recipe's samples; refuses one that holds another's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "samples.json"
    if path.is_file():
        try:
            found = read_json(path)
        except ValueError:
            found = None
        if found != asdict(recipe):
            raise SamplesError(
                f"{folder} holds samples of another generator, detector or seed, or of another kind of latent: "
                "remove it, or choose another folder"
            )
    else:
        path.write_text(json.dumps(asdict(recipe)), encoding="utf-8")
