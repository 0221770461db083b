# SPDX-License-Identifier: Apache-2.0
"""The regressor φ: latents → q, a small network on whitened latents (Haas et al., section 3.3).

It runs in float64 on the CPU whatever paints the pictures: it is tiny, and its inverse then gives the same
latent on every machine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .network import Architecture, Network


class Whitening(nn.Module):
    """Latents w [..., w_dim] in the coordinates v [..., M] in which the mapping's output has unit covariance.

    ``basis`` [M, w_dim] holds principal axes times their standard deviations: w = mean + v · basis.
    Directions in which w hardly varies are left out, so that no edit moves along them.
    """

    mean: Tensor
    basis: Tensor
    inverse: Tensor

    def __init__(self, mean: Tensor, basis: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)
        # The rows of ``basis`` are orthogonal: dividing by their squared length inverts it.
        self.register_buffer("inverse", (basis / basis.square().sum(dim=1, keepdim=True)).T, persistent=False)

    @staticmethod
    def of(w: Tensor, floor: float = 1e-3) -> Whitening:
        """The whitening of samples w [N, w_dim]; axes of less than ``floor`` times the largest standard
        deviation are left out."""
        mean = w.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov((w - mean).T))
        deviation = values.flip(0).clamp_min(0).sqrt()
        kept = int((deviation > floor * deviation[0]).sum())
        return Whitening(mean, vectors.flip(1).T[:kept] * deviation[:kept, None])

    @staticmethod
    def none(w_dim: int) -> Whitening:
        """Latents as they are."""
        return Whitening(torch.zeros(w_dim), torch.eye(w_dim))

    def forward(self, w: Tensor) -> Tensor:
        return (w - self.mean) @ self.inverse


class Regressor(Network):
    """φ: v → q [N, Q], where v [N, rows · M] are whitened latents.

    ``rows`` = 1 reads w: where the rows of a w+ differ, their mean. Otherwise it reads all rows of w+, each
    whitened alike. The linear path carries most of pose and expression, the network the rest. ``typical``
    [rows · M, Q] is what ``guide.typical_of`` learnt once φ was trained; zero before.
    """

    q_mean: Tensor
    q_scale: Tensor
    typical: Tensor

    def __init__(
        self,
        whitening: Whitening,
        q_mean: Tensor,
        q_scale: Tensor,
        architecture: Architecture = Architecture(),
        rows: int = 1,
    ) -> None:
        inputs = rows * len(whitening.basis)
        super().__init__(inputs, len(q_mean), architecture)
        self.whitening = whitening
        self.rows = rows
        self.register_buffer("q_mean", q_mean)
        self.register_buffer("q_scale", q_scale)
        self.register_buffer("typical", torch.zeros(inputs, len(q_mean)))

    def forward(self, v: Tensor) -> Tensor:
        return self.q_mean + self.q_scale * super().forward(v)

    def jacobian(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """q [N, Q] and dq/dv [N, Q, rows · M] at v."""
        output, J = super().jacobian(v)
        return self.q_mean + self.q_scale * output, self.q_scale[:, None] * J

    def read(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → v [N, rows · M]."""
        return torch.flatten(self.whitening(ws.mean(dim=1, keepdim=True) if self.rows == 1 else ws), start_dim=1)

    def displacement(self, moved: Tensor) -> Tensor:
        """A step in v [N, rows · M] as a step of w+ [N, rows, w_dim]; one row stands for all."""
        return moved.view(len(moved), self.rows, -1) @ self.whitening.basis

    def of_latents(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → q [N, Q]."""
        q: Tensor = self(self.read(ws))
        return q
