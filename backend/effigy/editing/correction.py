# SPDX-License-Identifier: Apache-2.0
"""Corrects φ with pictures of the edits that its own inverse makes.

The inverse searches for latents of which φ reads the requested q*. Among them are latents that are unlike all samples
and of which φ is wrong. So φ also learns from pictures of its own edits, as in imitation learning an agent learns from
the states that its own actions lead to (Ross, Gordon & Bagnell, *A Reduction of Imitation Learning and Structured
Prediction to No-Regret Online Learning*, AISTATS 2011). Only the output layer learns, which is a linear least-squares
problem with one solution.
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

_HELD_OUT = 0.1  # share of the edits that φ does not learn from, and is judged by
_RIDGE = 1e-3  # of the mean square of a feature


@dataclass(frozen=True, slots=True)
class Detected:
    """Latents [N, rows, w_dim] and the landmarks [N, 2, L] that a detector found in their pictures, all finite."""

    latents: Array
    points: Array


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected φ and its errors on held-out edits: landmark error (NME) in percent of the outer-eye distance."""

    regressor: Regressor
    edits_before: float  # of φ before the correction
    edits: float  # of ``regressor``

    @property
    def is_better(self) -> bool:
        """Whether the correction lowers the error; if not, ``regressor`` is φ as it was."""
        return self.edits < self.edits_before

    def entry(self) -> dict[str, float]:
        """Returns its entry in a bundle's header."""
        return {"edits_nme_percent_before": round(self.edits_before, 3), "edits_nme_percent": round(self.edits, 3)}


def correct_regressor(regressor: Regressor, edits: Detected, untouched: Array, shape: ShapeModel) -> Corrected:
    """Changes φ's output layer so that it reads what was seen in ``edits``, and the same as before in ``untouched``.

    With f(v) [F] the features that φ's output is linear in, and q* the camera and shape that ``shape`` fits to the
    points of an edit, φ becomes φ(v) + f(v) D, where D [F, Q] minimises

        Σ_edits |f D − (q* − φ)|² + c · Σ_untouched |f D|² + ε |D|².

    c gives both sums the same weight; ε is small. ``untouched`` are latents [N, rows, w_dim] of samples. The last tenth
    of ``edits`` is held out; if φ reads that no better than before, it is returned unchanged.
    """
    count = len(edits.latents) - max(1, int(_HELD_OUT * len(edits.latents)))
    taught, held_out = (
        Detected(edits.latents[part], edits.points[part]) for part in (slice(count), slice(count, None))
    )
    v = regressor.read(torch.from_numpy(taught.latents))
    views = infer(shape, taught.points)
    missed = torch.from_numpy(Parameters(views.camera, views.alpha).to_vector()) - regressor(v)
    features = regressor.features(v)
    kept = regressor.features(regressor.read(torch.from_numpy(untouched))) * (count / len(untouched)) ** 0.5
    both = torch.cat([features, kept])
    size = both.square().mean(dim=0).sqrt().clamp_min(1e-6)  # so that ε treats all features alike
    wanted = torch.cat([missed, torch.zeros(len(kept), missed.shape[1], dtype=missed.dtype)])
    change = torch.from_numpy(ridge((both / size).numpy(), wanted.numpy(), _RIDGE)) / size[:, None]
    learnt = copy.deepcopy(regressor)
    learnt.add(change / regressor.q_scale)
    before, after = (error_of(each, held_out, shape) for each in (regressor, learnt))
    return Corrected(learnt if after < before else regressor, before, min(before, after))


def error_of(regressor: Regressor, seen: Detected, shape: ShapeModel) -> float:
    """Returns the mean distance of φ's landmarks from those seen, in percent of the outer-eye distance (NME)."""
    mean, basis = (torch.from_numpy(a) for a in (shape.mean, shape.basis))
    q: Tensor = regressor(regressor.read(torch.from_numpy(seen.latents)))
    return 100 * float(nme(q, torch.from_numpy(seen.points), mean, basis))
