# SPDX-License-Identifier: Apache-2.0
"""What the rest of the backend knows of an identity network."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class IdentityFileError(Exception):
    """A file of identity weights that cannot be used; the message says what to do."""


class Embedder(Protocol):
    """Pictures of the same person lie near each other, those of different people do not."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same pictures may give other vectors: samples and bundles remember it."""

    def embed(self, images: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [−1, 1] → unit vectors [N, D]; differentiable."""
