# SPDX-License-Identifier: Apache-2.0
"""Opens face models, and people."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from ..faces import FaceModel, Identity, load_face_model, resolve_bundle
from ..painting import open_person, read_latent

Model: TypeAlias = str | Path | FaceModel
Person: TypeAlias = int | Identity

_MODELS = 2  # kept in memory


def load(model: Model = "default", device: str = "auto") -> FaceModel:
    """Loads a face model: "default", or the folder of a bundle; the last two are kept for further calls.

    ``device`` is auto, cpu, cuda or mps. Raises BundleError.
    """
    if isinstance(model, FaceModel):
        return model
    folder = resolve_bundle(str(model))
    try:
        changed = (folder / "model.json").stat().st_mtime_ns
    except OSError:
        changed = 0
    return _load(folder, device, changed)


@lru_cache(maxsize=_MODELS)
def _load(folder: Path, device: str, changed: int) -> FaceModel:
    return load_face_model(folder, device)


def person(
    seed: int | None = None,
    latent: bytes | str | Path | None = None,
    *,
    truncation: float = 0.7,
    model: Model = "default",
) -> Identity:
    """Opens a person: by ``seed``, the same number as in Blender, or by ``latent``.

    A latent is the bytes of an identity or the path of a file that holds them; or the path of an .npz with an array w,
    [w_dim] or [num_ws, w_dim]. ``truncation`` is ψ for a seed: 1 leaves the person as drawn, 0 gives the mean face.
    """
    chosen = load(model)
    if isinstance(latent, (str, Path)):
        latent = read_latent(Path(latent), chosen)
    return open_person(chosen, seed, latent, truncation)


def opened(model: FaceModel, who: Person) -> Identity:
    """Returns the person ``who``, opened by the number if it is one."""
    return who if isinstance(who, Identity) else open_person(model, who)
