# SPDX-License-Identifier: Apache-2.0
"""Loads the identity network with a given name."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

from .arcface import ArcFace
from .embedded import EmbeddedIdentity
from .embedder import Embedder
from .judge import EmbeddedJudge


def load_embedder(name: str, embedded: Path, device: torch.device) -> Embedder:
    """Loads "embedded" or "judge" (weights in the folder ``embedded``), or ArcFace's IR-SE50 from a path.

    Raises IdentityFileError.
    """
    if name == "embedded":
        return EmbeddedIdentity(embedded / "identity.safetensors", device)
    if name == "judge":
        return EmbeddedJudge(embedded / "judge.safetensors", device)
    with suppress(RuntimeError):  # ~NAME of a user who does not exist
        name = str(Path(name).expanduser())
    return ArcFace(Path(name), device)
