# SPDX-License-Identifier: Apache-2.0
"""Corrects φ by pictures of edits, where its own inverse leads.

The inverse seeks latents of which φ says what was asked, and so finds those of which φ is wrong: unlike any sample
that φ learnt from. So φ learns from pictures of its edits, as an imitator does from the states that it gets into
itself (Ross, Gordon & Bagnell, *A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
Learning*, AISTATS 2011). Only its output layer learns: that is a linear problem, solved at once and always alike.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry import infer
from ..geometry.camera import Array
from ..geometry.shape import ShapeModel
from .appearance_training import ridge
from .parameters import Parameters
from .regressor import Regressor
from .training import nme

_HELD_OUT = 0.1  # share of the edits that only judges
_RIDGE = 1e-3  # of the mean square of a feature


@dataclass(frozen=True, slots=True)
class Seen:
    """Latents [N, rows, w_dim] and the landmarks [N, 2, L] that a detector sees in their pictures, all finite."""

    latents: Array
    points: Array


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected φ, and errors on edits that it did not learn from: NME in percent of the outer-eye distance."""

    regressor: Regressor
    edits_before: float
    edits: float

    @property
    def is_better(self) -> bool:
        """Whether edits say that it is; otherwise it is φ as it was."""
        return self.edits < self.edits_before

    def entry(self) -> dict[str, float]:
        """What a bundle's header says of it."""
        return {"edits_nme_percent_before": round(self.edits_before, 3), "edits_nme_percent": round(self.edits, 3)}


def correct_regressor(regressor: Regressor, edits: Seen, untouched: Array, shape: ShapeModel) -> Corrected:
    """φ with an output layer that says of ``edits`` what was seen, and of ``untouched`` latents what φ says.

    f(v) [F] are the features that φ's output is linear in; q* is the view that ``shape`` fits to the points of an edit.
    f D is added to the output, where D [F, Q] minimises

        Σ_edits |f D − (q* − φ)|² + Σ_untouched |f D|² + a small multiple of |D|²,  both sums weighing alike.

    The last tenth of the edits only judges: if φ reads these better as it was, it stays.
    """
    count = len(edits.latents) - max(1, int(_HELD_OUT * len(edits.latents)))
    taught, judging = (Seen(edits.latents[part], edits.points[part]) for part in (slice(count), slice(count, None)))
    v = regressor.read(torch.from_numpy(taught.latents))
    views = infer(shape, taught.points)
    missed = torch.from_numpy(Parameters(views.camera, views.alpha).to_vector()) - regressor(v)
    features = regressor.features(v)
    held = regressor.features(regressor.read(torch.from_numpy(untouched))) * (count / len(untouched)) ** 0.5
    both = torch.cat([features, held])
    size = both.square().mean(dim=0).sqrt().clamp_min(1e-6)  # so that the ridge treats all features alike
    wanted = torch.cat([missed, torch.zeros(len(held), missed.shape[1], dtype=missed.dtype)])
    change = torch.from_numpy(ridge((both / size).numpy(), wanted.numpy(), _RIDGE)) / size[:, None]
    learnt = copy.deepcopy(regressor)
    learnt.add(change / regressor.q_scale)
    before, after = (error_of(each, judging, shape) for each in (regressor, learnt))
    return Corrected(learnt if after < before else regressor, before, min(before, after))


def error_of(regressor: Regressor, seen: Seen, shape: ShapeModel) -> float:
    """How far φ's faces are from what is seen: NME in percent of the outer-eye distance."""
    mean, basis = (torch.from_numpy(a) for a in (shape.mean, shape.basis))
    q: Tensor = regressor(regressor.read(torch.from_numpy(seen.latents)))
    return 100 * float(nme(q, torch.from_numpy(seen.points), mean, basis))
