# SPDX-License-Identifier: Apache-2.0
"""Face recognition networks behind one interface, and LPIPS."""

from .arcface import ArcFace
from .embedded import EmbeddedIdentity
from .embedder import Embedder, IdentityFileError
from .load import load_embedder
from .lpips import Lpips, lpips_folder, users_lpips

__all__ = [
    "ArcFace", "EmbeddedIdentity", "Embedder", "IdentityFileError", "Lpips", "load_embedder", "lpips_folder",
    "users_lpips",
]  # fmt: skip
