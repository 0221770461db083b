# SPDX-License-Identifier: Apache-2.0
"""What φ says of all the latents it was trained on, where its slope at one of them misleads.

An open lid hardly moves whichever way its latent goes, so the slope there is mostly noise: followed, it changes
hair and skin for a lid that stays open. Over all latents, though, it is well known where closed lids are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_RANK = 1e-4  # of the largest singular value: less is rounding


@dataclass(frozen=True, slots=True)
class Guide:
    """Where an edit starts, and what its steps cost besides.

    ``typical`` [V, Q]: by how much whitened latents differ whose q differs by one unit. ``squeeze`` maps steps in
    units in which all cost alike to steps of v: ``rest`` times as long, but along the orthonormal ``axes`` [V, R]
    ``lengths`` [R] times.
    """

    typical: Tensor
    axes: Tensor
    lengths: Tensor
    rest: float

    @staticmethod
    def of(typical: Tensor, scale: Tensor, dear: float, pull: float = 1.0, held: Tensor | None = None) -> Guide:
        """The guide that holds the rows ``held`` [H, V]: what of a step they see costs its square.

        ``scale`` [Q] is how much q varies, so that every parameter counts alike for what of a step they explain;
        the rest, which is the person, costs as if it were ``dear`` times as long. Without rows to hold

            squeeze(u) = (u + (dear − 1) E Eᵀ u) / dear,  E an orthonormal basis of ``typical``'s columns.

        With them it is S, where S² = Z (I + Z HᵀH Z / pull)⁻¹ Z and Z the map above, so that ``pull`` |u|² is the
        price of v = S u in the old units and in ``held`` together; and it starts from where that price is least.
        """
        left, values, _ = torch.linalg.svd(typical * scale, full_matrices=False)
        explained = left[:, values > _RANK * values.max()]
        if held is None:
            return Guide(typical, explained, torch.ones_like(explained[0]), 1 / dear)

        def cheap(steps: Tensor) -> Tensor:
            return (steps + (dear - 1) * (steps @ explained) @ explained.T) / dear

        K = cheap(held)
        solution = torch.linalg.solve(K @ K.T + pull * torch.eye(len(K), dtype=K.dtype), held @ typical)
        # All of this happens in the span of what is explained and what is held.
        span, _ = torch.linalg.qr(torch.cat([explained, held.T], dim=1))
        Z, seen = span.T @ cheap(span.T).T, K @ span
        inner = torch.linalg.inv(torch.eye(len(Z), dtype=Z.dtype) + seen.T @ seen / pull)
        squares, turn = torch.linalg.eigh(Z @ inner @ Z)
        return Guide(typical - cheap(K).T @ solution, span @ turn, squares.clamp_min(0).sqrt(), 1 / dear)

    def squeeze(self, steps: Tensor) -> Tensor:
        """``steps`` [..., V] in the units in which all cost alike, as steps of v; symmetric."""
        return self.rest * steps + (steps @ self.axes) * (self.lengths - self.rest) @ self.axes.T


def typical_of(v: Tensor, q: Tensor) -> Tensor:
    """The best linear prediction of v [N, rows · M] from q [N, Q], as [rows · M, Q]: Cov(v, q) Cov(q)⁻¹."""
    scale = q.std(dim=0).clamp_min(1e-12)
    apart = (q - q.mean(dim=0)) / scale
    # v, which for w+ is large, stays in its own precision.
    together = apart.T.to(v) @ (v - v.mean(dim=0)) / len(v)
    # The smallest solution: of a parameter that never varies nothing is known.
    spread = torch.linalg.pinv(apart.T @ apart / len(q), rtol=1e-9, hermitian=True)
    return (spread @ together.to(q)).T / scale
