# SPDX-License-Identifier: Apache-2.0
"""Finds the latent that paints a picture: by the encoder, by correcting its error in passes, then by L-BFGS.

A pass paints the present latent v and lets the encoder e estimate that picture too: v + e(target) − e(painted) corrects
the encoder's error, if that is the same for both pictures. For one picture in ten it is not, so a pass counts only if
the cost falls. The rest is found by L-BFGS (Nocedal, *Updating quasi-Newton matrices with limited storage*, 1980), in
coordinates u in which all directions change pictures alike, on average over the model's people: v = u · R, where R is
the inverse root of the metric that the encoder has learnt. In v itself, most directions change so little that 24
pictures leave them where they began, and when the face turns, that shows. One row of w is used for all layers; separate
rows fit better, but such faces cannot be posed any more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from .objective import Judged, Objective
from .stages import Stages

_PASSES = 8
_STEP, _LONGER, _SHORTER = 0.7, 1.2, 0.4  # of a pass: at first, after one that helped, and after one that did not
_HISTORY = 30
_DESCENTS, _PHOTO_DESCENTS = 24, 45  # pictures painted with gradients
_FARTHEST = 10.0  # from the middle of all latents that a photograph's search starts; typical is √M
_SCALE = 1e3  # of the cost: L-BFGS compares its changes with fixed small numbers
_UNIT = 0.1  # root mean square by which a picture in [−1, 1] changes with a step of 1 in u: about what is to be found
_FLAT = 1e-7  # of the largest square by which a step of v changes pictures: below this it is rounding


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an inversion is: the ``share`` that is done, and the best picture so far of what is ``wanted``."""

    stage: str
    share: float
    picture: Tensor  # [1, 3, H, W]
    wanted: Tensor  # [1, 3, H, W]


Steps = Generator[Progress, None, Judged]


class _SpentError(Exception):
    """The limit of painted pictures was reached within a line search."""


def invert(objective: Objective, stages: Stages) -> Steps:
    """Finds the latent; yields after every picture that is painted, and returns the best. Deterministic.

    It may be left at any time; ``stages`` that were gone through before are not gone through again.
    """
    descents = _DESCENTS if objective.target.face is None else _PHOTO_DESCENTS
    work = _PASSES + descents
    seen = stages.recall("seen", objective)
    if seen is None:
        seen = yield from _passes(objective, work)
        stages.keep("seen", objective, seen)
    fitted = stages.recall("fitted", objective)
    if fitted is None:
        best = yield from _descend(objective, seen, descents, work)
        fitted = objective.judge(best.v)  # without gradients, as when it is recalled
        stages.keep("fitted", objective, fitted)
    return fitted


def _passes(objective: Objective, work: int) -> Steps:
    wanted = objective.guess(objective.target.picture)
    first = wanted if objective.target.face is None else _within(wanted)
    # Far away from all faces the guess may be of no use, and half of it or nobody a better start.
    starts = [objective.judge(start) for start in (first, first / 2, torch.zeros_like(first))]
    best, step = min(starts, key=_cost), _STEP
    seen: Tensor | None = None  # the encoder's estimate of the best picture
    for number in range(_PASSES):
        yield Progress("seen", number / work, best.picture, objective.target.picture)
        seen = objective.guess(best.picture) if seen is None else seen
        tried = objective.judge(best.v + step * (wanted - seen))
        if _cost(tried) < _cost(best):
            best, step, seen = tried, min(_LONGER * step, 1.0), None
        else:
            step *= _SHORTER
    return best


def _descend(objective: Objective, start: Judged, descents: int, work: int) -> Steps:
    u, latent = _coordinates(objective, start.v.clone())
    u.requires_grad_()
    optimiser = torch.optim.LBFGS(
        [u], lr=1.0, max_iter=1, max_eval=descents, history_size=_HISTORY, line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
    )  # fmt: skip
    best, painted = start, 0
    known: list[tuple[Tensor, Tensor, Tensor]] = []  # a step begins where the one before ended

    def cost() -> Tensor:
        nonlocal best, painted
        for at, price, slope in known:
            if torch.equal(at, u):
                u.grad = slope.clone()
                return price
        if painted == descents:
            raise _SpentError
        with torch.enable_grad():
            judged = objective(latent(u))
            price = _SCALE * judged.cost
            (slope,) = torch.autograd.grad(price, u)
        painted += 1
        u.grad, price = slope.clone(), price.detach()
        known.append((u.detach().clone(), price, slope))
        if judged.cost < best.cost:
            best = Judged(judged.v.detach().clone(), judged.picture.detach(), judged.cost.detach())  # v may be u
        return price

    while painted < descents:
        before = painted
        try:
            optimiser.step(cost)  # type: ignore[no-untyped-call]
        except _SpentError:
            break
        if painted == before:  # nothing more is to be won
            break
        del known[:-_HISTORY]
        yield Progress("fitted", min((_PASSES + painted) / work, 1.0), best.picture, objective.target.picture)
    return best


def _coordinates(objective: Objective, v: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Returns the coordinates u [1, M] of ``v``, and the map from u to v. Without a metric they are v."""
    if objective.metric is None:
        return v, lambda u: u
    values, axes = torch.linalg.eigh(objective.metric.cpu().double())
    root = (_UNIT * axes * values.clamp_min(_FLAT * values[-1]).rsqrt() @ axes.T).to(objective.metric)
    return torch.zeros_like(v), lambda u: v + u @ root


def _within(v: Tensor) -> Tensor:
    return v * (_FARTHEST / v.norm().clamp_min(_FARTHEST))


def _cost(judged: Judged) -> float:
    return float(judged.cost)
