# SPDX-License-Identifier: Apache-2.0
"""The regressor φ: w → q, a small smooth network on whitened latents (Haas et al., section 3.3).

It runs in float64 on the CPU whatever paints the pictures: it is tiny, and its inverse then gives the same
latent on every machine.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Whitening(nn.Module):
    """Latents w [N, w_dim] in the coordinates v [N, M] in which the mapping's output has unit covariance.

    ``basis`` [M, w_dim] holds principal axes times their standard deviations: w = mean + v · basis.
    Directions in which w hardly varies are left out, so that no edit moves along them.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, mean: Tensor, basis: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)

    @staticmethod
    def of(w: Tensor, floor: float = 1e-3) -> Whitening:
        """The whitening of samples w [N, w_dim]; axes of less than ``floor`` times the largest standard
        deviation are left out."""
        mean = w.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov((w - mean).T))
        deviation = values.flip(0).clamp_min(0).sqrt()
        kept = int((deviation > floor * deviation[0]).sum())
        return Whitening(mean, vectors.flip(1).T[:kept] * deviation[:kept, None])

    def forward(self, w: Tensor) -> Tensor:
        # The rows of ``basis`` are orthogonal: dividing by their squared length inverts it.
        return (w - self.mean) @ (self.basis / self.basis.square().sum(dim=1, keepdim=True)).T


class Regressor(nn.Module):
    """φ on whitened latents: v [N, M] → q [N, Q]. SiLU keeps it smooth enough for Newton's method."""

    q_mean: Tensor
    q_scale: Tensor

    def __init__(self, whitening: Whitening, q_mean: Tensor, q_scale: Tensor, width: int = 256) -> None:
        super().__init__()
        self.whitening = whitening
        self.register_buffer("q_mean", q_mean)
        self.register_buffer("q_scale", q_scale)
        sizes = [len(whitening.basis), width, width, len(q_mean)]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        # A linear path beside the network carries most of pose and expression; the network the rest.
        self.linear = nn.Linear(sizes[0], sizes[-1], bias=False)

    def forward(self, v: Tensor) -> Tensor:
        x = v
        for layer in self.layers[:-1]:
            x = F.silu(layer(x))
        return self.q_mean + self.q_scale * (self.layers[-1](x) + self.linear(v))

    def of_latents(self, w: Tensor) -> Tensor:
        """w [N, w_dim] → q [N, Q]."""
        q: Tensor = self(self.whitening(w))
        return q

    def jacobian(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """q [N, Q] and dq/dv [N, Q, M] at v [N, M], by the chain rule from the output back: Q is the short side."""
        x, slopes = v, []
        for layer in self.layers[:-1]:
            h = layer(x)
            gate = torch.sigmoid(h)
            slopes.append(gate * (1 + h * (1 - gate)))
            x = h * gate
        last = self.layers[-1]
        q = self.q_mean + self.q_scale * (last(x) + self.linear(v))
        J = last.weight * slopes[-1][:, None]
        for layer, slope in zip(self.layers[-2:0:-1], slopes[-2::-1], strict=True):
            J = (J @ layer.weight) * slope[:, None]
        return q, self.q_scale[:, None] * (J @ self.layers[0].weight + self.linear.weight)
