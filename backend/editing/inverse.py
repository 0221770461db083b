# SPDX-License-Identifier: Apache-2.0
"""The local inverse Ω: (w0, q*) → w, by damped Gauss–Newton on φ in the whitened latent space.

Minimises |(φ(v) − q*) / tolerance|² + pull · |v − v0|² from v0: a Mahalanobis pull to the identity's own
latent (Haas et al., section 3.4, with their Jacobian step made iterative and weighted).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .regressor import Regressor


@dataclass(frozen=True, slots=True)
class InverseOptions:
    """``steps`` of Gauss–Newton; ``pull`` towards the identity; ``trust``, the longest step in whitened units."""

    steps: int = 5
    pull: float = 1.0
    trust: float = 3.0


def invert(
    regressor: Regressor, w0: Tensor, change: Tensor, tolerance: Tensor, options: InverseOptions = InverseOptions()
) -> tuple[Tensor, Tensor]:
    """The latents w [N, w_dim] near w0 [N, w_dim] whose q differs from φ(w0) by ``change`` [N, Q].

    ``tolerance`` [Q] says what error of each parameter weighs as much as one standard deviation of latent
    distance. Each row is independent of the others; a change of zero returns w0 itself, bit for bit. The
    second result is q reached, [N, Q].
    """
    v0 = regressor.whitening(w0)
    # By the same code as in the loop, so that a change of zero leaves a residual of exactly zero.
    target = regressor.jacobian(v0)[0] + change
    moved = torch.zeros_like(v0)
    eye = torch.eye(len(tolerance), dtype=v0.dtype)
    for _ in range(options.steps):
        q, J = regressor.jacobian(v0 + moved)
        J = J / tolerance[:, None]
        residual = (target - q) / tolerance
        # In the dual form the system has the size of q, not of v: Jᵀ (J Jᵀ + pull I)⁻¹ (r + J δ) − δ.
        normal = J @ J.transpose(1, 2) + options.pull * eye
        right = residual + (J @ moved[:, :, None])[..., 0]
        solution = torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(normal))
        step = (J.transpose(1, 2) @ solution)[..., 0] - moved
        length = step.norm(dim=1, keepdim=True)
        moved = moved + step * (options.trust / length.clamp_min(options.trust))
    return w0 + moved @ regressor.whitening.basis, regressor(v0 + moved)
