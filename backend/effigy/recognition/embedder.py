# SPDX-License-Identifier: Apache-2.0
"""The interface of identity networks to the rest of the backend."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class IdentityFileError(Exception):
    """A file of a network that compares pictures which cannot be used; the message says what to do."""


class Embedder(Protocol):
    """Maps pictures to vectors: those of the same person are near each other, those of different people are not."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same pictures might give other vectors. Samples and bundles record it."""

    def embed(self, images: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [−1, 1] → unit vectors [N, D]; differentiable."""
