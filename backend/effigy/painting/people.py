# SPDX-License-Identifier: Apache-2.0
"""Opens the person to be painted: by seed, or by a latent from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from effigy_protocol.files import file_problem
from effigy_protocol.messages import SEEDS

from ..array_files import read_arrays
from ..faces import FaceModel, Identity, LatentError
from ..faces.latent import latent_from_bytes, latent_to_bytes
from ..faces.person import SUFFIX, read_person
from .errors import PaintingError

_LARGEST = 1 << 20  # bytes of a latent's file: 128 rows of 1024 numbers are half of that


def open_person(
    model: FaceModel, seed: int | None = None, latent: bytes | None = None, truncation: float = 0.7
) -> Identity:
    """Opens the person of ``seed``, as in Blender's Seed, or of a ``latent``. Raises PaintingError."""
    if not 0 <= truncation <= 2:
        raise PaintingError(f"truncation {truncation} is out of range: it runs from 0 (the mean face) to 2")
    try:
        match seed, latent:
            case int(), None if 0 <= seed < SEEDS:
                return model.open_seed(seed, truncation)
            case int(), None:
                raise PaintingError(f"seed {seed} is out of range: seeds run from 0 to {SEEDS - 1}")
            case None, bytes():
                return model.open_latent(latent)
            case _:
                raise PaintingError("say who: give either a seed or a latent")
    except LatentError as error:
        raise PaintingError(f"this latent cannot be painted: {error}") from None


def read_latent(path: Path, model: FaceModel) -> bytes:
    """Reads the latent in a file, as the bytes that an Identity message carries. Raises PaintingError.

    The file has those bytes, or is a person's file, or an .npz with one array ``w``: [w_dim], or a row for each layer
    [num_ws, w_dim].
    """
    if problem := file_problem(path, "latent's file"):
        raise PaintingError(problem)
    size = model.generator.num_ws, model.generator.w_dim
    try:
        if path.suffix == ".npz":
            return latent_to_bytes(_rows(path, *size))
        if path.suffix == SUFFIX:
            return read_person(path).to_bytes()
        if path.stat().st_size > _LARGEST:
            raise PaintingError(f"{path} has more than {_LARGEST} bytes, which no latent has")
        data = path.read_bytes()
        latent_from_bytes(data, *size)
    except (LatentError, ValueError, OSError) as error:
        raise PaintingError(f"{path} cannot be read as a latent of this model: {error}") from None
    return data


def _rows(path: Path, num_ws: int, w_dim: int) -> np.ndarray:
    """Converts to w+ [num_ws, w_dim] float32. Raises ValueError."""
    arrays = read_arrays(path)
    if "w" not in arrays:
        raise ValueError(f"it must hold an array w, and holds {', '.join(sorted(arrays)) or 'nothing'}")
    w = arrays["w"]
    if w.dtype.kind != "f" or w.shape not in ((w_dim,), (1, w_dim), (num_ws, w_dim)) or not np.isfinite(w).all():
        raise ValueError(
            f"its w is {list(w.shape)} of {w.dtype}, where finite numbers [{w_dim}] or [{num_ws}, {w_dim}] are needed"
        )
    return np.broadcast_to(w, (num_ws, w_dim)).astype(np.float32)
