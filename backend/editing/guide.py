# SPDX-License-Identifier: Apache-2.0
"""What φ says of latents as a whole, where its slope at one of them misleads.

An open lid hardly moves whichever way its latent goes, so the slope there is mostly noise: followed, it changes
hair and skin for a lid that stays open, until somewhere the lid falls and the person comes back at once. On
average over all latents, though, φ knows well where closed lids are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .regressor import Regressor

_SLOPES, _SPREAD = 256, 4096  # latents over which slopes and outputs are averaged
_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class Guide:
    """``typical`` [rows · M, Q]: by how much whitened latents differ on average where q differs by one unit.

    ``explained`` [rows · M, Q]: orthonormal columns that span it. What of a step lies outside is the person.
    """

    typical: Tensor
    explained: Tensor

    def squeeze(self, steps: Tensor, dear: float) -> Tensor:
        """``steps`` [..., rows · M] with what no parameter explains divided by ``dear``."""
        return (steps + (dear - 1) * (steps @ self.explained) @ self.explained.T) / dear


@torch.inference_mode()
def guide_of(regressor: Regressor) -> Guide:
    """E[v | q] = Cov(v, q) Cov(q)⁻¹ for normal v, whose Cov(q, v) is φ's mean Jacobian (Stein's lemma). Seeded."""
    random = torch.Generator().manual_seed(0)
    inputs = regressor.rows * len(regressor.whitening.basis)
    draw = torch.randn(_SPREAD, inputs, generator=random, dtype=regressor.q_mean.dtype)
    half = draw[: _SLOPES // 2]
    parts = torch.split(torch.cat([half, -half]), _TOGETHER)  # in pairs, so that what is odd in the slope cancels
    slope = torch.stack([regressor.jacobian(part)[1].sum(dim=0) for part in parts]).sum(dim=0) / _SLOPES
    spread = torch.cov(torch.cat([regressor(part) for part in torch.split(draw, _SLOPES)]).T)
    # Where an output never varies there is nothing to learn from it: the smallest correction of zero is zero.
    typical = (torch.linalg.pinv(spread, hermitian=True) @ slope).T
    return Guide(typical, torch.linalg.qr(typical)[0])
