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
    """``typical`` [rows · M, Q]: by how much whitened latents differ whose q differs by one unit.

    ``explained`` [rows · M, R], R ≤ Q: orthonormal columns that span it. What of a step lies outside is the person.
    """

    typical: Tensor
    explained: Tensor

    @staticmethod
    def of(typical: Tensor, scale: Tensor) -> Guide:
        """``scale`` [Q]: how much q varies, so that every parameter counts alike for what is explained."""
        left, values, _ = torch.linalg.svd(typical * scale, full_matrices=False)
        return Guide(typical, left[:, values > _RANK * values.max()])

    def squeeze(self, steps: Tensor, dear: float) -> Tensor:
        """``steps`` [..., rows · M] with what no parameter explains divided by ``dear``."""
        return (steps + (dear - 1) * (steps @ self.explained) @ self.explained.T) / dear


def typical_of(v: Tensor, q: Tensor) -> Tensor:
    """The best linear prediction of v [N, rows · M] from q [N, Q], as [rows · M, Q]: Cov(v, q) Cov(q)⁻¹."""
    scale = q.std(dim=0).clamp_min(1e-12)
    apart = (q - q.mean(dim=0)) / scale
    # v, which for w+ is large, stays in its own precision.
    together = apart.T.to(v) @ (v - v.mean(dim=0)) / len(v)
    # The smallest solution: of a parameter that never varies nothing is known.
    spread = torch.linalg.pinv(apart.T @ apart / len(q), rtol=1e-9, hermitian=True)
    return (spread @ together.to(q)).T / scale
