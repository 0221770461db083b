# SPDX-License-Identifier: Apache-2.0
"""Training of the regressor on fitted views: first on q itself, then on reprojection (Haas et al., eq. 6)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..geometry.camera import Array
from ..geometry.shape import ShapeModel
from .parameters import ALPHA, ROTATION, SCALE, SHIFT, Parameters
from .regressor import Regressor, Whitening

_BATCH = 256
_WARM = 0.4  # share of the steps that only fit q


def train_regressor(
    w: Array,
    W: Array,
    fitted: Parameters,
    model: ShapeModel,
    held_out: int,
    steps: int = 4000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Regressor, float]:
    """Trains φ on latents w [N, w_dim], detected points W [N, 2, L] and the views fitted to them.

    The last ``held_out`` views choose the best state; the second result is their error (NME in percent of
    the outer-eye distance).
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    latents, points = torch.from_numpy(w).double(), torch.from_numpy(W).double()
    target = torch.from_numpy(fitted.to_vector())
    count = len(latents) - held_out
    whitening = Whitening.of(latents[:count])
    v, points, target = whitening(latents).float(), points.float(), target.float()
    regressor = Regressor(whitening, target[:count].mean(dim=0), target[:count].std(dim=0)).float()
    shape = tuple(torch.from_numpy(a).float() for a in (model.mean, model.basis))
    optimiser = torch.optim.AdamW(regressor.parameters(), lr=2e-3, weight_decay=1e-3)
    best, best_error = copy.deepcopy(regressor), math.inf
    for step in range(steps):
        _set_rate(optimiser, step / steps)
        rows = torch.randint(0, count, (_BATCH,), generator=generator)
        q = regressor(v[rows])
        loss = ((q - target[rows]) / regressor.q_scale).square().mean()
        if step > _WARM * steps:
            loss = 0.1 * loss + nme(q, points[rows], *shape)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 199 or step == steps - 1:
            with torch.no_grad():
                error = float(nme(regressor(v[count:]), points[count:], *shape))
            if error < best_error:
                best, best_error = copy.deepcopy(regressor), error
            if progress:
                progress(step + 1, steps)
    return best.double().requires_grad_(requires_grad=False), 100 * best_error


def _set_rate(optimiser: torch.optim.Optimizer, done: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = 2e-3 * 0.5 * (1 + math.cos(math.pi * done)) + 1e-6


def nme(q: Tensor, points: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """Mean distance of the projected shape of q [N, Q] to points [N, 2, L], in outer-eye distances."""
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
