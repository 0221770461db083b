# SPDX-License-Identifier: Apache-2.0
"""Trains φ further on pictures of edits, where its own inverse leads.

The inverse seeks latents of which φ says what was asked, and so finds those of which φ is wrong: unlike any sample
that φ learnt from. So φ learns from pictures of its edits, as an imitator does from the states that it gets into
itself (Ross, Gordon & Bagnell, *A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
Learning*, AISTATS 2011).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry import infer
from ..geometry.camera import Array
from ..geometry.shape import ShapeModel
from .parameters import Parameters
from .regressor import Regressor
from .training import nme, spread

_HELD_OUT = 0.1  # share of samples and edits that only judges
_STEPS, _BATCH, _RATE, _DECAY = 1500, 256, 5e-4, 1e-3
_CHECK = 100  # steps between looks at those that judge


@dataclass(frozen=True, slots=True)
class Seen:
    """Latents [N, rows, w_dim] and the landmarks [N, 2, L] that a detector sees in their pictures, all finite."""

    latents: Array
    points: Array


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected φ, and its errors on what it did not learn from: NME in percent of the outer-eye distance."""

    regressor: Regressor
    samples: float
    edits_before: float
    edits: float

    def entry(self) -> dict[str, float]:
        """What a bundle's report says of it."""
        return {
            "regressor_nme_percent": round(self.samples, 3),
            "edits_nme_percent_before": round(self.edits_before, 3),
            "edits_nme_percent": round(self.edits, 3),
        }


def correct_regressor(
    regressor: Regressor,
    samples: Seen,
    edits: Seen,
    shape: ShapeModel,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Corrected:
    """φ trained further, by batches that are half ``samples`` and half ``edits``.

    The last tenth of both judges: of all states the one with the least error on both together is taken, which may be
    φ as it was.
    """
    generator = torch.Generator().manual_seed(seed)
    taught, judging = ([_part(seen, last) for seen in (samples, edits)] for last in (False, True))
    examples = [_examples(regressor, seen, shape) for seen in taught]
    scale = spread(examples[0][1])
    flat = tuple(torch.from_numpy(a).float() for a in (shape.mean, shape.basis))

    def errors(network: Regressor) -> list[float]:
        return [error_of(network, seen, shape) for seen in judging]

    learning = copy.deepcopy(regressor).float().requires_grad_()
    optimiser = torch.optim.AdamW(learning.parameters(), lr=_RATE, weight_decay=_DECAY)
    best, before = regressor, errors(regressor)
    least = before
    for step in range(_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (0.5 * (1 + math.cos(math.pi * step / _STEPS)) + 1e-3)
        rows = [torch.randint(0, len(part[0]), (_BATCH // 2,), generator=generator) for part in examples]
        drawn = [[each[row] for each in part] for part, row in zip(examples, rows, strict=True)]
        v, q, points = (torch.cat(each) for each in zip(*drawn, strict=True))
        found = learning(v)
        loss = 0.1 * ((found - q) / scale).square().mean() + nme(found, points, *flat)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % _CHECK == _CHECK - 1:
            state = copy.deepcopy(learning).double().requires_grad_(requires_grad=False)
            if sum(error := errors(state)) < sum(least):
                best, least = state, error
            progress(step + 1, _STEPS)
    return Corrected(best, least[0], before[1], least[1])


def error_of(regressor: Regressor, seen: Seen, shape: ShapeModel) -> float:
    """How far φ's faces are from what is seen: NME in percent of the outer-eye distance."""
    mean, basis = (torch.from_numpy(a) for a in (shape.mean, shape.basis))
    return 100 * float(nme(regressor(_read(regressor, seen)), torch.from_numpy(seen.points), mean, basis))


def _part(seen: Seen, last: bool) -> Seen:
    """All but the last tenth, or these."""
    count = len(seen.latents) - max(1, int(_HELD_OUT * len(seen.latents)))
    part = slice(count, None) if last else slice(count)
    return Seen(seen.latents[part], seen.points[part])


def _examples(regressor: Regressor, seen: Seen, shape: ShapeModel) -> tuple[Tensor, Tensor, Tensor]:
    """v [N, V], q [N, Q] of the views that ``shape`` fits to the points, and these [N, 2, L], in single precision."""
    views = infer(shape, seen.points)
    q = torch.from_numpy(Parameters(views.camera, views.alpha).to_vector())
    return _read(regressor, seen).float(), q.float(), torch.from_numpy(seen.points).float()


def _read(regressor: Regressor, seen: Seen) -> Tensor:
    return regressor.read(torch.from_numpy(seen.latents))
