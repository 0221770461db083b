# SPDX-License-Identifier: Apache-2.0
"""Data sets of renders, and contact sheets.

A data set is a folder: ``pictures.npy`` [N, S, S, PLANES] uint8, ``vectors.npy`` [N, COUNT] (the parameters),
``landmarks.npy`` [N, LANDMARKS, 2] pixels, and ``done.npy``, which chunks are rendered.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from effigy.generators.networks.stylegan2 import StyleGAN2

from .bake import load_assets
from .latents import REST, gate, paint_vectors
from .parameters import EXPRESSION, sample, share_people
from .planes import PLANES, planes_of
from .renderer import LANDMARKS, Renderer

CHUNK = 200  # pictures that one process renders at a time

_renderer: Renderer | None = None  # of a worker process


def render_set(
    assets: Path, out: Path, vectors: NDArray[np.float32], size: int, *, report: Callable[[int], None] = lambda n: None
) -> None:
    """Renders ``vectors`` [N, COUNT] into the folder ``out`` on every core; goes on where an earlier call stopped.

    Raises ValueError when ``out`` holds other renders.
    """
    out.mkdir(parents=True, exist_ok=True)
    if (out / "vectors.npy").exists() and not np.array_equal(np.load(out / "vectors.npy"), vectors):
        raise ValueError(f"{out} holds a data set of other parameters: choose another folder")
    count = len(vectors)
    array(out / "pictures.npy", (count, size, size, PLANES), np.uint8)
    array(out / "landmarks.npy", (count, LANDMARKS, 2), np.float32)
    done = array(out / "done.npy", (-(-count // CHUNK),), np.bool_)
    np.save(out / "vectors.npy", vectors)
    report(min(count, int(done.sum()) * CHUNK))
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # one thread each: every core has a process
    fresh = get_context("spawn")  # so that they heed it
    with ProcessPoolExecutor(mp_context=fresh, initializer=_start, initargs=(assets, size)) as pool:
        chunks = {pool.submit(_render, out, int(chunk)): chunk for chunk in np.flatnonzero(~done)}
        for future in as_completed(chunks):
            future.result()
            done[chunks[future]] = True
            report(min(count, int(done.sum()) * CHUNK))


def paint_set(
    network: StyleGAN2, renderer: Renderer, out: Path, vectors: NDArray[np.float32], *, report: Callable[[int], None]
) -> None:
    """Makes the same data set by painting instead of rendering; the renderer knows its landmarks all the same."""
    out.mkdir(parents=True, exist_ok=True)
    pictures = []
    for start in range(0, len(vectors), CHUNK):
        part = paint_vectors(network, vectors[start : start + CHUNK], seed=start)
        pictures.append(to_pictures(part))
        report(start + len(part))
    np.save(out / "vectors.npy", vectors)
    np.save(out / "landmarks.npy", np.stack([renderer.landmarks(vector) for vector in vectors]))
    np.save(out / "pictures.npy", np.concatenate(pictures))


def opened(folder: Path, *names: str) -> list[np.memmap]:
    """Opens these arrays of the data set in ``folder``, to be read. Raises ValueError where there are none."""
    try:
        return [np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names]
    except (OSError, ValueError, EOFError):
        raise ValueError(f"{folder} holds no data set: make one with render or paint") from None


def array(path: Path, shape: tuple[int, ...], dtype: type) -> np.memmap:
    """Opens the array in a file; makes one of zeros if there is none. Raises ValueError when its shape is another."""
    stored = open_memmap(path, mode="r+") if path.exists() else open_memmap(path, "w+", dtype, shape)
    if stored.shape != shape:
        raise ValueError(f"{path} holds {stored.shape}, not {shape}: choose another folder")
    return stored


def _start(assets: Path, size: int) -> None:
    global _renderer
    _renderer = Renderer(load_assets(assets), size)


def _render(out: Path, chunk: int) -> None:
    assert _renderer is not None
    pictures, landmarks = open_memmap(out / "pictures.npy", "r+"), open_memmap(out / "landmarks.npy", "r+")
    vectors = np.load(out / "vectors.npy", mmap_mode="r")
    for row in range(chunk * CHUNK, min(len(vectors), (chunk + 1) * CHUNK)):
        rendering = _renderer(vectors[row])
        pictures[row], landmarks[row] = planes_of(rendering), rendering.landmarks
    pictures.flush()
    landmarks.flush()


def pair_vectors(pairs: int, seed: int) -> NDArray[np.float32]:
    """Draws [2 · pairs, COUNT]: rows 2k and 2k + 1 are one picture twice, but for about half of what the face does.

    Every other pair begins with a face as users draw them, which hold still: see ``latents.gate``.
    """
    first = sample(pairs, seed)
    first[::2] = (gate(torch.from_numpy(first[::2])) + REST).numpy()
    random = np.random.default_rng((seed, 1))
    anew = random.random((pairs, len(EXPRESSION))) < 0.5
    second = first.copy()
    second[:, EXPRESSION] = np.where(anew, sample(pairs, (seed, 2))[:, EXPRESSION], first[:, EXPRESSION])
    return np.stack([first, second], axis=1).reshape(2 * pairs, -1)


def people_vectors(people: int, pictures: int, seed: int) -> NDArray[np.float32]:
    """Draws [people · pictures, COUNT]: one person's rows share what is theirs (see ``parameters.PERSONAL``)."""
    return share_people(sample(people * pictures, seed), pictures)


def to_pictures(images: Tensor) -> NDArray[np.uint8]:
    """Rounds what a generator painted, [N, C, S, S] in [−1, 1], to uint8 [N, S, S, C]."""
    return ((images.permute(0, 2, 3, 1) + 1) * 127.5).round().byte().numpy()


def contact_sheet(pictures: NDArray[np.uint8], columns: int, gap: int = 2) -> NDArray[np.uint8]:
    """Arranges pictures [N, H, W, 3] in rows of ``columns``, on white."""
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        y, x = index // columns * (height + gap), index % columns * (width + gap)
        sheet[y : y + height, x : x + width] = picture
    return sheet
