# SPDX-License-Identifier: Apache-2.0
"""Where an edit starts and what its steps cost, from the statistics of all latents that φ was trained on.

φ's slope at one latent can mislead. A lid that is open hardly moves whichever way the latent goes, so the slope there
is mostly noise: an edit that follows it changes hair and skin while the lid stays open. Over all latents, however, the
difference between open and closed lids is well determined.

Where it is known which latents show one scene, or one person, only the differences between these count: over all
people, closed lids go with narrow eyes too, so an edit that closes lids would also make somebody else of the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..geometry.expressions import departures

_RANK = 1e-4  # of the largest singular value, below which one counts as zero
_RIDGE = 0.03  # the share of q's covariance over all latents that is added to that within groups


@dataclass(frozen=True, slots=True)
class Guide:
    """An edit's displacement d = T Δ + S u, of which u costs pull · |u|² (see ``inverse``).

    In statistical terms it is a Gaussian prior of d with the mean T Δ and the covariance S Sᵀ / pull.

    T is ``typical`` [V, Q]: how much latents v differ on average when their q differs by one unit. S is symmetric:

        S = rest · I + E diag(lengths − rest) Eᵀ,  E the orthonormal ``axes`` [V, R].
    """

    typical: Tensor
    axes: Tensor
    lengths: Tensor
    rest: float

    @staticmethod
    def of(typical: Tensor, scale: Tensor, stretch: float, pull: float = 1.0, held: Tensor | None = None) -> Guide:
        """Returns the guide of ``typical`` [V, Q] that holds the linear functions ``held`` [H, V] at the anchor's.

        Without ``held``, S is

            Z = (I + (stretch − 1) E Eᵀ) / stretch,  E an orthonormal basis of the columns of T,

        so that a displacement that the parameters of q explain costs its length squared, and one that they do not,
        which changes the person, as if it were ``stretch`` times as long. ``scale`` [Q] is the standard deviation of
        each parameter; with it, columns of T that are only rounding are told from the others.

        With ``held``, or H, a displacement d shall cost pull · |Z⁻¹ d|² + |H d|². This is pull · |S⁻¹ d|² with

            S² = Z (I + Z HᵀH Z / pull)⁻¹ Z,

        and the edit starts at the point of least cost that T leads to: T − Z Kᵀ (K Kᵀ + pull I)⁻¹ H T with K = H Z.
        """
        explained = explained_axes(typical, scale)
        if held is None:
            return Guide(typical, explained, torch.ones_like(explained[0]), 1 / stretch)

        def times_z(steps: Tensor) -> Tensor:
            return (steps + (stretch - 1) * (steps @ explained) @ explained.T) / stretch

        K = times_z(held)
        solution = torch.linalg.solve(K @ K.T + pull * torch.eye(len(K), dtype=K.dtype), held @ typical)
        # Outside of the span of E and Hᵀ both S and Z are I / stretch.
        span, _ = torch.linalg.qr(torch.cat([explained, held.T], dim=1))
        Z, seen = span.T @ times_z(span.T).T, K @ span
        inner = torch.linalg.inv(torch.eye(len(Z), dtype=Z.dtype) + seen.T @ seen / pull)
        squares, turn = torch.linalg.eigh(Z @ inner @ Z)
        return Guide(typical - times_z(K).T @ solution, span @ turn, squares.clamp_min(0).sqrt(), 1 / stretch)

    def scale(self, steps: Tensor) -> Tensor:
        """Returns S u for ``steps`` u [..., V]."""
        return self.rest * steps + (steps @ self.axes) * (self.lengths - self.rest) @ self.axes.T


def explained_axes(typical: Tensor, scale: Tensor) -> Tensor:
    """Returns an orthonormal basis [V, R] of the columns of ``typical`` [V, Q]; ``scale``: see ``Guide.of``."""
    left, values, _ = torch.linalg.svd(typical * scale, full_matrices=False)
    return left[:, values > _RANK * values.max()]


def typical_of(v: Tensor, q: Tensor, groups: NDArray[np.integer] | None = None) -> Tensor:
    """Returns the best linear prediction of v [N, rows · M] from q [N, Q]: Cov(v, q) Cov(q)⁻¹, [rows · M, Q].

    With ``groups`` [N], the number of each row's scene or person, both covariances are those within groups, and _RIDGE
    times Cov(q) over all rows is added to the second: some of q hardly varies within a group. So the columns of T are
    combinations of how latents of one group differ; an edit neither starts along other axes nor moves cheaply along
    them (``Guide.of``).
    """
    scale = q.std(dim=0).clamp_min(1e-12)
    apart = (q - q.mean(dim=0)) / scale
    moved, ridge = apart, 0.0
    if groups is not None:
        # Departures of q have the mean 0 in each group, so their products with v are those with v's departures, which
        # need no memory. Twice, since v's would have been multiplied by √(n / (n − 1)) too.
        moved, ridge = torch.from_numpy(departures(departures(apart.numpy(), groups), groups)).to(apart), _RIDGE
    # v is large for w+, and so it is not copied into q's precision.
    together = moved.T.to(v) @ (v - v.mean(dim=0)) / len(v)
    # The pseudo-inverse gives 0 for a parameter that never varies.
    spread = torch.linalg.pinv((moved + ridge * apart).T @ apart / len(q), rtol=1e-9, hermitian=True)
    return (spread @ together.to(q)).T / scale
