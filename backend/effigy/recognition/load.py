# SPDX-License-Identifier: Apache-2.0
"""Which identity network a name means."""

from __future__ import annotations

from pathlib import Path

import torch

from .arcface import ArcFace
from .embedded import EmbeddedIdentity
from .embedder import Embedder
from .judge import EmbeddedJudge


def load_embedder(name: str, embedded: Path, device: torch.device) -> Embedder:
    """The network that ``name`` means: "embedded" or "judge" (weights in the folder ``embedded``), or a path to
    ArcFace's IR-SE50.

    Raises IdentityFileError.
    """
    if name == "embedded":
        return EmbeddedIdentity(embedded / "identity.safetensors", device)
    if name == "judge":
        return EmbeddedJudge(embedded / "judge.safetensors", device)
    return ArcFace(Path(name).expanduser(), device)
