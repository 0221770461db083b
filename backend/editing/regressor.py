# SPDX-License-Identifier: Apache-2.0
"""The regressor φ: latents → q, a small network on whitened latents (Haas et al., section 3.3).

It runs in float64 on the CPU whatever paints the pictures: it is tiny, and its inverse then gives the same
latent on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .guide import Guide


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of φ: ``depth`` hidden layers of ``width``, and beside them a ``linear_path`` from input to output.

    ``silu`` is smooth enough for Newton's method; ``relu`` is what the paper uses.
    """

    depth: int = 2
    width: int = 256
    activation: Literal["silu", "relu"] = "silu"
    linear_path: bool = True


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


class Regressor(nn.Module):
    """φ: v → q [N, Q], where v [N, rows · M] are whitened latents.

    ``rows`` = 1 reads w: where the rows of a w+ differ, their mean. Otherwise it reads all rows of w+, each
    whitened alike. ``typical`` [rows · M, Q] is what ``guide.typical_of`` learnt once φ was trained; zero before.
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
        super().__init__()
        self.whitening = whitening
        self.architecture = architecture
        self.rows = rows
        self.register_buffer("q_mean", q_mean)
        self.register_buffer("q_scale", q_scale)
        inputs = rows * len(whitening.basis)
        self.register_buffer("typical", torch.zeros(inputs, len(q_mean)))
        sizes = [inputs, *[architecture.width] * architecture.depth, len(q_mean)]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        # The linear path carries most of pose and expression; the network the rest.
        self.linear = nn.Linear(inputs, len(q_mean), bias=False) if architecture.linear_path else None
        self._activate = F.silu if architecture.activation == "silu" else F.relu

    def forward(self, v: Tensor) -> Tensor:
        x = v
        for layer in self._hidden():
            x = self._activate(layer(x))
        return self._output(x, v)

    def _hidden(self) -> list[nn.Module]:
        """All layers but the last. A slice of them would be a module of its own, made anew each time."""
        return list(self.layers)[:-1]

    def _output(self, x: Tensor, v: Tensor) -> Tensor:
        output = self.layers[-1](x)
        return self.q_mean + self.q_scale * (output if self.linear is None else output + self.linear(v))

    @cached_property
    def guide(self) -> Guide:
        """What φ says of all latents; of a trained φ, since it is read once."""
        return Guide.of(self.typical, self.q_scale)

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

    def jacobian(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """q [N, Q] and dq/dv [N, Q, rows · M] at v, by the chain rule from the output back: Q is the short side."""
        x, slopes = v, []
        for layer in self._hidden():
            h = layer(x)
            slopes.append(self._slope(h))
            x = self._activate(h)
        weights = [cast(nn.Linear, layer).weight for layer in self.layers]
        J = weights[-1] * slopes[-1][:, None]
        for weight, slope in zip(weights[-2:0:-1], slopes[-2::-1], strict=True):
            J = (J @ weight) * slope[:, None]
        J = J @ weights[0]
        if self.linear is not None:
            J = J + self.linear.weight
        return self._output(x, v), self.q_scale[:, None] * J

    def _slope(self, h: Tensor) -> Tensor:
        if self.architecture.activation == "relu":
            return (h > 0).to(h.dtype)
        gate = torch.sigmoid(h)
        return gate * (1 + h * (1 - gate))
