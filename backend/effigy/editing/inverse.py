# SPDX-License-Identifier: Apache-2.0
"""The local inverse Ω: (w0, q*) → w+, found on φ in the whitened latent space.

v0 is the anchor's whitened latent, d = v − v0 the unknown displacement, and Δ = q* − φ(v0) the requested change.
``newton`` minimises, over u,

    |W (q* − φ(v0 + d))|² + |h(v0 + d) − h(v0)|² + pull · |u|²,    d = T Δ' + S u.

W weighs errors of q, and h is what the identity head reads (``appearance``). Δ' is the part of Δ that changes the
shape; T Δ' is how latents differ on average that differ so in shape, and the linear map S makes some directions cost
more than others (``guide``). The other methods have pull · |d|² instead of the last term. As v is whitened, these
lengths are Mahalanobis distances. The rows of a batch do not influence each other, and a change of zero returns w0
itself, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from .appearance import PULL, Appearance
from .guide import Guide
from .parameters import POSE
from .regressor import Regressor

Method = Literal["newton", "linear", "alternating", "gradient"]
METHODS: tuple[Method, ...] = get_args(Method)

IdentityTerm = Callable[[Tensor], Tensor]
"""A differentiable function of w+ [N, num_ws, w_dim] that says how far each face is from its anchor's identity, [N]."""


@dataclass(frozen=True, slots=True)
class InverseOptions:
    """How to invert: the method and its settings.

    - ``newton`` takes damped Gauss–Newton steps from T Δ' (see the module), to which ``pull`` holds it.
    - The methods of Haas et al. 2023, section 3.4, are pulled to the identity's latent itself. ``linear`` takes one
      step by the pseudo-inverse of the Jacobian at w0, ``alternating`` takes such steps in turn with steps down the
      gradient of the identity's cost, and ``gradient`` minimises both together by Adam.
    """

    method: Method = "newton"
    steps: int = 4  # how many steps of Gauss–Newton
    pull: float = 1.0  # weight of the squared distance
    trust: float = 3.0  # the longest step of newton, in whitened units
    stretch: float = 4.0  # factor by which newton lengthens steps that no parameter of q explains
    descents: int = 60  # how many steps of Adam
    rate: float = 0.05  # their learning rate
    identity_weight: float = 1.0  # of the identity's cost, in alternating and gradient
    layers: int | None = None  # only that many coarse rows of w+ move, as pose is there and colours are not; None: all
    keep: float = 1.0  # 0 … 1: how much looks count in newton; 0: as without heads that read them


def invert(
    regressor: Regressor,
    ws0: Tensor,
    change: Tensor,
    weigh: Tensor,
    options: InverseOptions = InverseOptions(),
    identity: IdentityTerm | None = None,
    appearance: Appearance | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns latents near ``ws0`` whose q differs from φ(ws0) by ``change``, and the change that φ reads in them.

    Args:
        regressor: φ, in float64.
        ws0: the anchors w0, [N, num_ws, w_dim] float64.
        change: q* − φ(w0), [N, Q].
        weigh: W [P, Q]; an error e with |W e| = 1 costs as much as one standard deviation of latent distance.
        options: the method and its settings.
        identity: a further cost, of ``alternating`` and ``gradient`` alone.
        appearance: reads the looks that ``newton`` keeps.

    Returns:
        w+ [N, num_ws, w_dim] and φ(w+) − φ(w0) [N, Q], both float64.
    """
    problem = _Problem(regressor, ws0, change, weigh, options, identity, appearance)
    moved = {
        "newton": problem.newton,
        "linear": problem.linear,
        "alternating": problem.alternating,
        "gradient": problem.gradient,
    }[options.method]()
    return problem.latents(moved), problem.reached(moved)


class _Problem:
    """A batch of inversions; the method of each name returns the whitened displacement d = v − v0 [N, rows · M]."""

    def __init__(
        self,
        regressor: Regressor,
        ws0: Tensor,
        change: Tensor,
        weigh: Tensor,
        options: InverseOptions,
        identity: IdentityTerm | None,
        appearance: Appearance | None,
    ) -> None:
        self.regressor, self.ws0, self.weigh = regressor, ws0, weigh
        self.identity, self.appearance = identity, appearance if options.keep > 0 else None
        # In w+ a step counts once for every row that makes it: pull and trust mean one row, as in w.
        rows = regressor.rows
        self.options = replace(options, pull=options.pull / rows, trust=options.trust * rows**0.5)
        more = 0.0 if self.appearance is None else (PULL - 1) * options.keep
        self.pull = self.options.pull * (1 + more)  # newton's
        moving = ws0.shape[1] if options.layers is None else options.layers
        self.rows = (torch.arange(ws0.shape[1]) < moving)[:, None].to(ws0.dtype)  # [num_ws, 1]
        # A regressor that reads w reads the mean of the rows that move.
        self.v0 = regressor.read(ws0[:, :moving] if regressor.rows == 1 else ws0)
        columns = self.rows[: regressor.rows].expand(-1, len(regressor.whitening.basis))
        self.columns = columns.reshape(1, -1)  # 1 for each coordinate of v that may change, else 0
        self.q0 = regressor(self.v0)
        self.person0 = self.v0[:, :0] if self.appearance is None else self.appearance.person(self.v0)
        self.change, self.target = change, self.q0 + change
        self.asked = (change != 0).any(dim=1, keepdim=True) * self.columns

    def latents(self, moved: Tensor) -> Tensor:
        """d → w+ [N, num_ws, w_dim]."""
        return self.ws0 + self.regressor.displacement(moved) * self.rows

    def reached(self, moved: Tensor) -> Tensor:
        """d → φ(v0 + d) − φ(v0) [N, Q]."""
        return self.regressor(self.v0 + moved) - self.q0

    def _linearised(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        q, J = self.regressor.jacobian(self.v0 + moved)
        return q, J * self.columns

    def newton(self) -> Tensor:
        """Takes damped Gauss–Newton steps in u: each minimises |r − J (u' − u)|² + pull · |u'|² for the next u'."""
        with torch.inference_mode():  # saves a tenth of the time, as the matrices are small
            guide = self._guide()
            # A turn is left to φ's slope, which leads well there, while the average over all latents does not.
            shape = self.change.clone()
            shape[:, :POSE] = 0
            start = shape @ guide.typical.T
            u = torch.zeros_like(start)
            moved = start
            for _ in range(self.options.steps):
                residual, J = self._rows(moved)
                J = guide.scale(J)
                # In the dual form the system has one row for each error, not for each coordinate of v:
                # u' = Jᵀ (J Jᵀ + pull I)⁻¹ (r + J u).
                normal = J @ J.transpose(1, 2)
                normal.diagonal(dim1=1, dim2=2).add_(self.pull)
                right = residual + (J @ u[:, :, None])[..., 0]
                solution = torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(normal))
                u = u + self._trusted((J.transpose(1, 2) @ solution)[..., 0] - u)
                moved = start + guide.scale(u) * self.columns
        return moved.clone()  # a tensor made in inference mode could not be used with gradients later

    def _rows(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the errors r at v0 + moved, [N, rows], and the slope J of what they measure, [N, rows, V].

        First those of q, then those of what the identity head reads; an error of 1 costs as much as one standard
        deviation. Colours are linear in v, so the guide holds them.
        """
        q, J = self._linearised(moved)
        missing, slope = (self.target - q) @ self.weigh.T, self.weigh @ J
        if self.appearance is None or self.appearance.identity is None:
            return missing, slope
        person, K = self.appearance.person_jacobian(self.v0 + moved)
        keep = self.options.keep
        apart, K = keep * (self.person0 - person), keep * K * self.columns
        return torch.cat([missing, apart], dim=1), torch.cat([slope, K], dim=1)

    def _guide(self) -> Guide:
        pull, stretch, keep = self.pull, self.options.stretch, self.options.keep
        if self.options.layers is None:
            return _whole_guide(self.regressor, self.appearance, pull, stretch, keep)
        held = None if self.appearance is None else keep * self.appearance.held * self.columns
        return Guide.of(self.regressor.typical * self.columns.T, self.regressor.q_scale, stretch, pull, held)

    def linear(self) -> Tensor:
        """Takes one step by the pseudo-inverse of φ's Jacobian."""
        q, J = self._linearised(torch.zeros_like(self.v0))
        return self._least_norm(J, self.target - q)

    def alternating(self) -> Tensor:
        """Takes steps to the target in turn with steps down the gradient of the cost."""
        moved = torch.zeros_like(self.v0)
        for _ in range(self.options.steps):
            q, J = self._linearised(moved)
            moved = moved + self._trusted(self._least_norm(J, self.target - q))
            moved = moved - self.options.rate * self._slope(moved, self._price)
        return moved * self.asked

    def gradient(self) -> Tensor:
        """Minimises the errors and the cost together by Adam."""
        moved = torch.zeros_like(self.v0).requires_grad_()
        optimiser = torch.optim.Adam([moved], lr=self.options.rate)
        with torch.enable_grad():
            for _ in range(self.options.descents):
                optimiser.zero_grad()
                residual = (self.target - self.regressor(self.v0 + moved * self.columns)) @ self.weigh.T
                (residual.square().sum() + self._price(moved).sum()).backward()
                optimiser.step()
        return moved.detach() * self.asked

    def _price(self, moved: Tensor) -> Tensor:
        """pull · |d|² + identity_weight · the identity term, [N]."""
        price = self.options.pull * moved.square().sum(dim=1)
        if self.identity is not None:
            price = price + self.options.identity_weight * self.identity(self.latents(moved))
        return price

    def _slope(self, moved: Tensor, price: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            point = moved.detach().requires_grad_()
            (slope,) = torch.autograd.grad(price(point).sum(), point)
        return slope

    def _least_norm(self, J: Tensor, residual: Tensor) -> Tensor:
        """Returns the shortest step that removes ``residual`` [N, Q] to first order, in standard deviations of q."""
        scaled = J / self.regressor.q_scale[:, None]
        return (torch.linalg.pinv(scaled) @ (residual / self.regressor.q_scale)[:, :, None])[..., 0]

    def _trusted(self, step: Tensor) -> Tensor:
        """Shortens steps [N, V] to at most ``trust``."""
        length = step.norm(dim=1, keepdim=True)
        return step * (self.options.trust / length.clamp_min(self.options.trust))


@lru_cache(maxsize=8)
def _whole_guide(
    regressor: Regressor, appearance: Appearance | None, pull: float, stretch: float, keep: float
) -> Guide:
    """Returns the guide for the case that all of v may change. It is cached, because a trained φ does not change."""
    held = None if appearance is None else keep * appearance.held
    return Guide.of(regressor.typical, regressor.q_scale, stretch, pull, held)
