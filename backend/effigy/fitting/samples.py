# SPDX-License-Identifier: Apache-2.0
"""Samples a generator: latents with the landmarks, thumbnails and embeddings of their pictures, in shards on disk.

So a long run resumes. A shard depends on the recipe and its number alone, not on interruptions or the number of shards.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from effigy_protocol.files import is_file, read_json, whole_file

from ..array_files import read_arrays
from ..editing.patches import THUMBNAIL
from ..generators import Generator, check_pictures
from ..generators.planes import colour
from ..geometry.camera import Array
from ..landmarks import Detector
from ..recognition import Embedder

SHARD = 500  # pictures
NO_DETECTOR = "none"
_BATCH = 10
_ARRAYS = ("ws", "W", "thumbnails", "vectors")  # the arrays of a shard

Latent = Literal["w", "w+"]
Progress = Callable[[str, int, int], None]


class SamplesError(Exception):
    """A folder of samples that belongs to another fit; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What samples depend on besides their number."""

    generator_sha256: str
    detector: str  # its fingerprint, "none" without one
    seed: int
    latent: Latent = "w"  # w, or w+ with half of the samples style-mixed
    embedder: str = "none"  # its fingerprint, "none" without one
    drawn: str = "normal"  # the distribution of z, or the sha256 of the file that z was read from
    shard: int = SHARD


@dataclass(frozen=True, slots=True)
class Samples:
    """N sampled pictures."""

    latents: Array  # [N, rows, w_dim]: 1 row of w, all of w+
    points: Array  # [N, 2, L] landmarks in [0, 1], NaN where no face is seen; without a detector L is 0
    thumbnails: NDArray[np.uint8]  # [N, 3, THUMBNAIL, THUMBNAIL], sRGB
    vectors: Array  # [N, D] unit vectors of the identity network; without one D is 0
    people: NDArray[np.integer] | None = None  # [N] whom each shows, where that is known
    scenes: NDArray[np.integer] | None = None  # [N] which differ in pose and expression alone, where that is known

    def __len__(self) -> int:
        return len(self.latents)

    def where(self, rows: NDArray[np.bool_]) -> Samples:
        """Returns those for which ``rows`` [N] is true."""
        people, scenes = (None if each is None else each[rows] for each in (self.people, self.scenes))
        return Samples(self.latents[rows], self.points[rows], self.thumbnails[rows], self.vectors[rows], people, scenes)


def sample(
    generator: Generator,
    detector: Detector | None,
    embedder: Embedder | None,
    recipe: Recipe,
    count: int,
    folder: Path,
    progress: Progress,
    given: NDArray[np.float32] | None = None,
) -> Samples:
    """Paints ``count`` pictures of random latents and stores what ``detector`` and ``embedder`` see in them.

    ``given`` [N, z_dim], N ≥ ``count``: latents z to use instead of normally distributed ones. Shards that ``folder``
    already has are read, the others are made and written. Raises SamplesError.
    """
    if given is not None:
        _check(given, generator.z_dim, count)
    _claim(folder, recipe)
    shards = []
    for number in range(-(-count // SHARD)):
        path = folder / f"shard_{number:05d}.npz"
        if not is_file(path):
            random = np.random.RandomState([recipe.seed, number])
            z = random.randn(SHARD, generator.z_dim) if given is None else given[number * SHARD : (number + 1) * SHARD]
            _write(path, _make(generator, detector, embedder, z, random, recipe.latent))
        try:
            shard = read_arrays(path)
            shards.append({name: shard[name] for name in _ARRAYS})
        except (ValueError, KeyError) as error:
            raise SamplesError(f"the samples {path} are damaged ({error}): remove the file, and run again") from None
        progress("sample", min((number + 1) * SHARD, count), count)
    ws, W, thumbnails, vectors = (np.concatenate([shard.pop(name) for shard in shards])[:count] for name in _ARRAYS)
    return Samples(ws.astype(np.float64), W.astype(np.float64), thumbnails, vectors.astype(np.float64))


@torch.inference_mode()
def _make(
    generator: Generator,
    detector: Detector | None,
    embedder: Embedder | None,
    z: NDArray[np.floating],
    random: np.random.RandomState,
    latent: Latent,
) -> list[NDArray[np.generic]]:
    """Returns the _ARRAYS of a shard, of the latents ``z`` [M, z_dim]; ``random`` draws the style mixing of w+."""
    batches = []
    for part in torch.split(torch.from_numpy(z).float(), _BATCH):
        ws = _latents_of(generator, part, random, latent)
        pictures = colour(generator.synthesize(ws), generator.planes)
        check_pictures(pictures, generator, ws)
        points = detector.detect(pictures) if detector is not None else torch.empty(len(ws), 2, 0)
        vectors = embedder.embed(pictures) if embedder is not None else torch.empty(len(ws), 0)
        batches.append((ws if latent == "w+" else ws[:, :1], points, thumbnails(pictures), vectors))
    return [torch.cat(parts).cpu().numpy() for parts in zip(*batches, strict=True)]


@torch.inference_mode()
def latents_of_samples(generator: Generator, seed: int, latent: Latent, count: int) -> Array:
    """Returns the latents [``count``, rows, w_dim] of the first samples with this seed, without painting them."""
    ws: list[Tensor] = []
    for number in range(-(-count // SHARD)):
        random = np.random.RandomState([seed, number])
        z = torch.from_numpy(random.randn(SHARD, generator.z_dim)).float()
        ws += [_latents_of(generator, part, random, latent) for part in torch.split(z, _BATCH)]
    return torch.cat(ws)[:count, : None if latent == "w+" else 1].cpu().double().numpy()


def _latents_of(generator: Generator, z: Tensor, random: np.random.RandomState, latent: Latent) -> Tensor:
    """Maps z [M, z_dim] to w+ [M, num_ws, w_dim]; for "w+", ``random`` draws the style mixing."""
    ws, cut = generator.map(z.to(generator.device)), generator.num_ws
    if latent == "w+":
        # Every other picture takes its fine layers from its neighbour, from a random layer on.
        cuts = torch.from_numpy(random.randint(1, cut, len(ws))).to(ws.device)
        cuts[::2] = cut
        fine = (torch.arange(cut, device=ws.device) >= cuts[:, None])[:, :, None]
        ws = torch.where(fine, ws.roll(1, dims=0), ws)
    return ws


@dataclass(frozen=True, slots=True)
class Given:
    """Latents to sample, and what the first of them show, where that is known."""

    z: NDArray[np.float32]  # [N, z_dim]
    people: NDArray[np.integer] | None  # whom each shows
    scenes: NDArray[np.integer] | None  # which differ in pose and expression alone


def read_latents(path: Path, count: int) -> Given:
    """Reads an .npz file with an array ``z`` [N, z_dim], and what the first ``count`` of its latents show.

    That is said by arrays ``people`` and ``scenes`` [N], which may be missing. Raises SamplesError.
    """
    try:
        arrays = read_arrays(path)
    except (OSError, ValueError) as error:
        raise SamplesError(f"{path} cannot be read as latents ({error}): it must be an .npz with an array z") from None
    z = _numbers(path, arrays.get("z"))
    people, scenes = (_groups(path, name, arrays.get(name), z, count) for name in ("people", "scenes"))
    if people is not None and scenes is not None:
        _, first, scene = np.unique(scenes, return_index=True, return_inverse=True)
        if crossing := scenes[people != people[first[scene]]].tolist():
            raise SamplesError(
                f"scene {crossing[0]} in {path} shows more than one of its people: number scenes so that each is of one"
            )
    return Given(z, people, scenes)


def _numbers(path: Path, z: NDArray[Any] | None) -> NDArray[np.float32]:
    """Returns ``z`` in float32. Raises SamplesError unless it is an array [N, z_dim] of numbers that are finite so."""
    if z is not None and z.ndim == 2 and z.dtype.kind == "f":
        with np.errstate(over="ignore"):
            numbers = z.astype(np.float32)
        if np.isfinite(numbers).all():  # a large float64 is infinite there
            return numbers
    raise SamplesError(f"{path} must hold an array z [N, z_dim] of floating-point numbers that are finite as float32")


def _groups(
    path: Path, name: str, groups: NDArray[Any] | None, z: NDArray[np.float32], count: int
) -> NDArray[np.integer] | None:
    """Returns the first ``count`` of ``groups``, an array that may be missing. Raises SamplesError.

    It must have a whole number for each of the file's latents ``z``, each group twice or more on average, and
    latents that differ within a group.
    """
    if groups is None:
        return None
    if groups.ndim != 1 or groups.dtype.kind not in "iu" or len(groups) != len(z):
        raise SamplesError(f"{name} in {path} must be an array [N] of whole numbers, one for each of its latents")
    sampled = groups[:count]
    kinds, first, kind = np.unique(sampled, return_index=True, return_inverse=True)
    if 2 * len(kinds) > len(sampled):
        raise SamplesError(
            f"the first {len(sampled)} latents in {path} show {len(kinds)} {name}, less than twice each: "
            f"show each of them at least twice, or leave the array {name} out"
        )
    if len(sampled) and (z[:count] == z[first[kind]]).all():
        raise SamplesError(
            f"the first {len(sampled)} latents in {path} are all alike where {name} are the same, so nothing moves: "
            f"give latents that differ there, or leave the array {name} out"
        )
    return sampled


def _check(given: NDArray[np.float32], z_dim: int, count: int) -> None:
    """Raises SamplesError unless ``given`` has ``count`` rows or more, of ``z_dim`` numbers."""
    if given.shape[1] != z_dim:
        raise SamplesError(f"the given latents have {given.shape[1]} numbers each; this generator's z have {z_dim}")
    if len(given) < count:
        raise SamplesError(
            f"{count} samples are asked for, and {len(given)} latents given: ask for fewer, or give more"
        )


def thumbnails(pictures: Tensor) -> Tensor:
    """Shrinks pictures [N, 3, H, W] in [−1, 1] to uint8 [N, 3, THUMBNAIL, THUMBNAIL]."""
    small = F.interpolate(pictures.clamp(-1, 1), size=(THUMBNAIL, THUMBNAIL), mode="area")
    return (small * 127.5 + 127.5).round().byte()


def _write(path: Path, arrays: list[NDArray[np.generic]]) -> None:
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **dict(zip(_ARRAYS, arrays, strict=True)))  # type: ignore[arg-type]


def _claim(folder: Path, recipe: Recipe) -> None:
    """Reserves ``folder`` for this recipe's samples. Raises SamplesError if it holds those of another recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "samples.json"
    if path.is_file():
        try:
            found = read_json(path)
        except ValueError:
            found = None
        if found != asdict(recipe):
            raise SamplesError(
                f"{folder} holds samples of another generator, detector or seed, of another kind of latent, made with "
                "another identity network, or by an older Effigy: remove it, or choose another folder"
            )
    else:
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(asdict(recipe)), encoding="utf-8")
