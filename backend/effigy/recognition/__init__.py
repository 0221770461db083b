# SPDX-License-Identifier: Apache-2.0
"""Face recognition networks behind one interface."""

from .arcface import ArcFace
from .embedded import EmbeddedIdentity
from .embedder import Embedder, IdentityFileError
from .load import load_embedder

__all__ = ["ArcFace", "EmbeddedIdentity", "Embedder", "IdentityFileError", "load_embedder"]
