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
    """The linear map from latents w [..., w_dim] to coordinates v [..., M] with unit covariance over all people.

    w = mean + v · basis, where the rows of ``basis`` [M, w_dim] are principal axes times their standard deviations.
    Axes along which w hardly varies are left out, so that no edit moves along them.
    """

    mean: Tensor
    basis: Tensor
    inverse: Tensor

    def __init__(self, mean: Tensor, basis: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)
        # The rows of ``basis`` are orthogonal, so its pseudo-inverse is its transpose over their squared lengths.
        self.register_buffer("inverse", (basis / basis.square().sum(dim=1, keepdim=True)).T, persistent=False)

    @staticmethod
    def of(w: Tensor, floor: float = 1e-3) -> Whitening:
        """Returns the whitening of samples w [N, w_dim].

        Axes with less than ``floor`` times the largest standard deviation are left out.
        """
        mean = w.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov((w - mean).T))
        deviation = values.flip(0).clamp_min(0).sqrt()
        kept = int((deviation > floor * deviation[0]).sum())
        return Whitening(mean, vectors.flip(1).T[:kept] * deviation[:kept, None])

    @staticmethod
    def none(w_dim: int) -> Whitening:
        """Returns the identity: v = w."""
        return Whitening(torch.zeros(w_dim), torch.eye(w_dim))

    def forward(self, w: Tensor) -> Tensor:
        """w [..., w_dim] → v [..., M]."""
        return (w - self.mean) @ self.inverse


class Regressor(Network):
    """φ: v → q [N, Q], where v [N, rows · M] are whitened latents.

    With ``rows`` = 1, φ reads w, which of a w+ is the mean of its rows. Otherwise it reads every row of w+, each
    whitened alike. The linear path explains most of pose and expression, the hidden layers the rest. ``typical``
    [rows · M, Q] is T of ``guide``; it is zero until φ is trained.
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
        """v [N, rows · M] → q [N, Q]."""
        return self.q_mean + self.q_scale * super().forward(v)

    def jacobian(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns q [N, Q] and dq/dv [N, Q, rows · M] at v."""
        output, J = super().jacobian(v)
        return self.q_mean + self.q_scale * output, self.q_scale[:, None] * J

    def read(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → v [N, rows · M]."""
        return torch.flatten(self.whitening(ws.mean(dim=1, keepdim=True) if self.rows == 1 else ws), start_dim=1)

    def displacement(self, moved: Tensor) -> Tensor:
        """Maps a step in v [N, rows · M] to w+ [N, rows, w_dim]; if ``rows`` is 1 it holds for all rows of w+."""
        return moved.view(len(moved), self.rows, -1) @ self.whitening.basis

    def of_latents(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → q [N, Q]."""
        q: Tensor = self(self.read(ws))
        return q
