# SPDX-License-Identifier: Apache-2.0
"""The identity term of the inverse: how far an edited face is from the anchor's person (Haas et al., section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..generators import Generator
from ..generators.planes import colour
from ..recognition import Embedder
from .inverse import IdentityTerm


def keep_identity(generator: Generator, embedder: Embedder, ws0: Tensor) -> IdentityTerm:
    """Returns the function w+ → 1 − cosine similarity [N] of its pictures' embeddings and those of ``ws0``.

    Both w+ and the anchors ``ws0`` are [N, num_ws, w_dim]. Each evaluation paints N pictures, with their gradients.
    """
    with torch.no_grad():
        anchors = embedder.embed(_paint(generator, ws0))

    def price(ws: Tensor) -> Tensor:
        similarity: Tensor = (embedder.embed(_paint(generator, ws)) * anchors).sum(dim=1)
        return (1 - similarity).to(ws)

    return price


def _paint(generator: Generator, ws: Tensor) -> Tensor:
    return colour(generator.synthesize(ws.float().to(generator.device)), generator.planes)
