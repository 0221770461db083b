# SPDX-License-Identifier: Apache-2.0
"""Trains the regressor: first on the q of fitted views, then also on their landmarks (Haas et al., eq. 6)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..geometry.camera import Array
from ..geometry.shape import ShapeModel
from .guide import typical_of
from .network import Architecture
from .parameters import ALPHA, ROTATION, SCALE, SHIFT, Parameters
from .regressor import Regressor, Whitening

_CHECK = 200  # steps between evaluations on the held-out views


@dataclass(frozen=True, slots=True)
class Training:
    """The settings of φ's training."""

    architecture: Architecture = field(default_factory=Architecture)
    standardise: bool = True  # whiten the latents, and give q in standard deviations
    steps: int = 4000
    batch: int = 256
    rate: float = 2e-3
    decay: bool = True  # let the rate follow a cosine down to zero
    warm: float = 0.4  # the share of the steps that only fit q, before the reprojection loss is added
    patience: int = 12  # evaluations without a better one, one every 200 steps, after which training ends


PRESETS = {
    "effigy": Training(),
    # Haas et al. 2023: five layers of 512 on plain w, Adam at 2e-5, the reprojection loss alone.
    "paper": Training(
        Architecture(depth=5, width=512, activation="relu", linear_path=False),
        standardise=False, steps=20_000, batch=64, rate=2e-5, decay=False, warm=0.0, patience=20,
    ),
}  # fmt: skip


def train_regressor(
    ws: Array,
    W: Array,
    fitted: Parameters,
    model: ShapeModel,
    held_out: int,
    training: Training = PRESETS["effigy"],
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    groups: NDArray[np.integer] | None = None,
) -> tuple[Regressor, float]:
    """Trains φ on latents ``ws`` [N, rows, w_dim], detected points ``W`` [N, 2, L] and the views fitted to them.

    ``rows`` is 1 for w, and the generator's num_ws for w+. The last ``held_out`` views are not trained on: they choose
    the best state and end the training early. ``groups`` [N] numbers each latent's scene, or else its person, where
    that is known: edits then follow how latents of one group differ (``guide``). Returns φ in float64, frozen, and its
    landmark error on those views (NME, in percent of the outer-eye distance).
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    count = len(ws) - held_out
    latents = torch.from_numpy(ws)
    regressor = _regressor(latents[:count], torch.from_numpy(fitted.to_vector())[:count], training)
    v = regressor.read(latents.float())
    points, target = torch.from_numpy(W).float(), torch.from_numpy(fitted.to_vector()).float()
    scale = spread(target[:count])
    shape = tuple(torch.from_numpy(a).float() for a in (model.mean, model.basis))
    decay = 1e-3 if training.standardise else 0.0
    optimiser = torch.optim.AdamW(regressor.parameters(), lr=training.rate, weight_decay=decay)
    best, best_error, looks = copy.deepcopy(regressor), math.inf, 0
    for step in range(training.steps):
        _set_rate(optimiser, training, step)
        rows = torch.randint(0, count, (training.batch,), generator=generator)
        q = regressor(v[rows])
        loss = _loss(q, target[rows], scale, points[rows], shape, training, step)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % _CHECK == _CHECK - 1 or step == training.steps - 1:
            with torch.no_grad():
                error = float(nme(regressor(v[count:]), points[count:], *shape))
            looks += 1
            if error < best_error:
                best, best_error, looks = copy.deepcopy(regressor), error, 0
            if progress:
                progress(step + 1, training.steps)
            if looks > training.patience:
                break
    if progress:
        progress(training.steps, training.steps)
    best = best.double().requires_grad_(requires_grad=False)
    q = torch.cat([best(part.double()) for part in torch.split(v[:count], training.batch)])
    best.typical.copy_(typical_of(v[:count], q, None if groups is None else groups[:count]))
    return best, 100 * best_error


def _regressor(latents: Tensor, target: Tensor, training: Training) -> Regressor:
    """Returns an untrained φ for latents [n, rows, w_dim] and their q [n, Q]."""
    rows, w_dim = latents.shape[1:]
    if training.standardise:
        # Every row of a w+ has the same distribution, that of the mapping network's output.
        whitening = Whitening.of(latents[:, 0].double())
        mean, scale = target.mean(dim=0), spread(target)
    else:
        whitening = Whitening.none(w_dim)
        mean, scale = torch.zeros(target.shape[1]), torch.ones(target.shape[1])
    return Regressor(whitening, mean, scale, training.architecture, rows).float()


def spread(target: Tensor) -> Tensor:
    """Returns the standard deviation of every parameter, at least 1e-6 so that it can be divided by."""
    return target.std(dim=0).clamp_min(1e-6)


def _loss(
    q: Tensor,
    target: Tensor,
    scale: Tensor,
    points: Tensor,
    shape: tuple[Tensor, ...],
    training: Training,
    step: int,
) -> Tensor:
    warming = step < training.warm * training.steps
    distance = ((q - target) / scale).square().mean()
    if warming:
        return distance
    reprojection = nme(q, points, *shape)
    return reprojection if training.warm == 0 else 0.1 * distance + reprojection


def _set_rate(optimiser: torch.optim.Optimizer, training: Training, step: int) -> None:
    done = step / training.steps
    for group in optimiser.param_groups:
        group["lr"] = training.rate * (0.5 * (1 + math.cos(math.pi * done)) + 1e-3 if training.decay else 1.0)


def nme(q: Tensor, points: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """Returns the mean distance of the projected landmarks of q [N, Q] from ``points`` [N, 2, L].

    ``mean`` [3, L] and ``basis`` [K, 3, L] are the shape model's. The unit is the outer-eye distance of each face as
    the camera sees it, which counts as a constant in gradients.
    """
    X = mean + torch.tensordot(q[:, ALPHA], basis, 1)
    Y = q[:, SCALE].exp()[:, None, None] * (rotation_matrix(q[:, ROTATION])[:, :2] @ X)
    projected = Y * torch.tensor([1.0, -1.0], dtype=Y.dtype)[:, None] + q[:, SHIFT][:, :, None]
    return ((projected - points).norm(dim=1).mean(dim=1) / q[:, SCALE].detach().exp()).mean()


def rotation_matrix(rotvec: Tensor) -> Tensor:
    """Rotation vectors [N, 3] → R [N, 3, 3] (Rodrigues), differentiable at zero."""
    angle = (rotvec.square().sum(dim=1) + 1e-12).sqrt()[:, None, None]
    x, y, z = rotvec.unbind(dim=1)
    zero = torch.zeros_like(x)
    K = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    eye = torch.eye(3, dtype=rotvec.dtype)
    return eye + torch.sin(angle) / angle * K + (1 - torch.cos(angle)) / angle**2 * (K @ K)
