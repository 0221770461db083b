# SPDX-License-Identifier: Apache-2.0
"""Which identity network a name means."""

from __future__ import annotations

from pathlib import Path

import torch

from .arcface import ArcFace
from .embedded import EmbeddedIdentity
from .embedder import Embedder


def load_embedder(name: str, embedded: Path, device: torch.device) -> Embedder:
    """The network that ``name`` means: "embedded" (the weights ``embedded``), or a path to ArcFace's IR-SE50.

    Raises IdentityFileError.
    """
    return EmbeddedIdentity(embedded, device) if name == "embedded" else ArcFace(Path(name).expanduser(), device)
