# SPDX-License-Identifier: Apache-2.0
"""Learns the heads of ``appearance.py`` on sampled pictures.

What the pose explains of colours and embeddings is taken out first, so that a turned face may be shaded as turned
faces are. What the expression explains is not: that is the accident that the heads are there to undo.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..geometry import angles
from ..geometry.camera import Array, Camera
from ..geometry.shape import ShapeModel
from ..geometry.topology import Patch, Topology
from .appearance import Appearance
from .network import Architecture, Network
from .parameters import Parameters
from .patches import patch_colours, patch_names, patch_points
from .regressor import Regressor

COMPONENTS = 16  # of the embedding
_HEAD = Architecture(depth=2, width=128)
_STEPS, _BATCH, _RATE = 1500, 256, 2e-3
_DECAY, _LINEAR_DECAY = 0.03, 1e-3
_LEAST = 0.3  # of the person's variance that a head must know, or it holds what is not there
_CHECK = 100  # steps between looks at the held-out samples
_POSE_RIDGE, _COLOUR_RIDGE = 1e-3, 1e-2  # of the mean square of a feature
_PART = 1000  # samples whose colours are read at a time


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How much of the variance, beyond what pose explains, the heads know of samples they did not learn from.

    ``identity`` is None where there is no head for it: without embeddings, or where they could not be learnt.
    """

    colours: float
    identity: float | None


def train_appearance(
    regressor: Regressor,
    shape: ShapeModel,
    topology: Topology,
    ws: Array,
    thumbnails: NDArray[np.uint8],
    vectors: Array,
    held_out: int,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Appearance, HeldOut]:
    """The heads for latents ws [N, rows, w_dim], their pictures [N, 3, S, S] in sRGB and their embeddings [N, D].

    Without embeddings D is 0: then there is no identity head. Where faces are is what ``regressor`` says. The last
    ``held_out`` samples judge, and choose the identity head's best state.
    """
    v, q = _read(regressor, ws)
    views = Parameters.from_vector(q)
    pose = pose_features(views.camera)
    patches = {name: patch for name, patch in topology.patches.items() if patch.held}
    colours = beyond(pose, _colours(patches, shape, views, thumbnails))
    count = len(v) - held_out
    features = np.concatenate([v.numpy(), np.ones((len(v), 1))], axis=1)
    solution = ridge(features[:count], colours[:count], _COLOUR_RIDGE)
    known = _share(features[count:] @ solution, colours[count:])
    identity, known_person = None, None
    if vectors.shape[1]:
        person = _main_components(beyond(pose, vectors))
        identity, known_person = _train_identity(v, torch.from_numpy(person), count, seed, progress)
        if known_person < _LEAST:
            identity, known_person = None, None
    firmness = [patch.held for patch in patches.values()]
    firmness += [1.0] * (len(patch_names(patches)) - len(firmness))  # of the background
    held = np.repeat(firmness, 3)[:, None] * solution[:-1].T
    head = Appearance(patch_names(patches), torch.from_numpy(held), identity)
    return head, HeldOut(known, known_person)


def _read(regressor: Regressor, ws: Array) -> tuple[Tensor, Array]:
    """Latents ws [N, rows, w_dim] as v [N, V] and q [N, Q]."""
    parts = [regressor.read(part) for part in torch.split(torch.from_numpy(ws), _PART)]
    return torch.cat(parts), torch.cat([regressor(part) for part in parts]).numpy()


def _colours(patches: dict[str, Patch], shape: ShapeModel, views: Parameters, thumbnails: NDArray[np.uint8]) -> Array:
    """[N, 3 P] of the thumbnails [N, 3, S, S]."""
    points = patch_points(patches, shape, views.alpha, views.camera)
    parts = [slice(start, start + _PART) for start in range(0, len(points), _PART)]
    colours = [patch_colours(torch.from_numpy(thumbnails[p]), points[p], views.camera.s[p]) for p in parts]
    return np.concatenate(colours).reshape(len(points), -1)


def pose_features(camera: Camera) -> Array:
    """[N, 12]: what of a pose colours may depend on, each of about unit size."""
    yaw, pitch, roll = angles(camera.R)
    flat = np.stack([yaw, pitch, roll, np.log(camera.s), *camera.t.T], axis=1)
    flat = (flat - flat.mean(axis=0)) / flat.std(axis=0).clip(1e-6)
    y, p = flat[:, 0], flat[:, 1]
    return np.column_stack([np.ones_like(y), flat, y * y, p * p, y * p, y**3, y * y * p])


def beyond(features: Array, values: Array) -> Array:
    """``values`` [N, K] without what is linear in ``features`` [N, F]."""
    return values - features @ ridge(features, values, _POSE_RIDGE)


def ridge(features: Array, values: Array, strength: float) -> Array:
    """[F, K]: the linear map from features [N, F] to values [N, K].

    Kept small by ``strength`` times the mean square of a feature.
    """
    A = features.T @ features
    return np.asarray(np.linalg.solve(A + strength * np.trace(A) / len(A) * np.eye(len(A)), features.T @ values))


def _main_components(values: Array) -> Array:
    _, vectors = np.linalg.eigh(np.cov(values.T))
    return np.asarray(values @ vectors[:, ::-1][:, :COMPONENTS])


def _share(predicted: Array, true: Array) -> float:
    """Of the variance, all outputs together."""
    return float(1 - np.square(predicted - true).sum() / np.square(true - true.mean(axis=0)).sum())


def _train_identity(
    v: Tensor, person: Tensor, count: int, seed: int, progress: Callable[[int, int], None]
) -> tuple[Network, float]:
    """The identity head, learnt on the first ``count`` samples, and what it knows of the others."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    mean, deviation = person[:count].mean(dim=0), person[:count].std(dim=0)
    size = deviation.mean()
    inputs, target, relative = v.float(), ((person - mean) / size).float(), (deviation / size).float()
    network = Network(v.shape[1], person.shape[1], _HEAD)
    with torch.no_grad():  # it starts as the linear map and learns the rest
        start = ridge(v[:count].numpy(), target[:count].double().numpy(), _COLOUR_RIDGE)
        network.linear_path.weight.copy_(torch.from_numpy(start.T))
        network.last.weight.mul_(0.1)
    groups = [
        {"params": network.layers.parameters(), "weight_decay": _DECAY},
        {"params": network.linear_path.parameters(), "weight_decay": _LINEAR_DECAY},
    ]
    optimiser = torch.optim.AdamW(groups, lr=_RATE)

    def missed() -> float:
        with torch.no_grad():
            return float(((network(inputs[count:]) - target[count:]) / relative).square().mean())

    best, least = copy.deepcopy(network), missed()  # on w+, which is wide, nothing better may be found
    for step in range(_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (0.5 * (1 + math.cos(math.pi * step / _STEPS)) + 1e-3)
        rows = torch.randint(0, count, (_BATCH,), generator=generator)
        loss = ((network(inputs[rows]) - target[rows]) / relative).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % _CHECK == _CHECK - 1:
            if (error := missed()) < least:
                best, least = copy.deepcopy(network), error
            progress(step + 1, _STEPS)
    best = best.double().requires_grad_(requires_grad=False)
    with torch.no_grad():
        best.last.weight.mul_(size)
        best.last.bias.mul_(size).add_(mean)
        best.linear_path.weight.mul_(size)
    return best, _share(best(v[count:]).numpy(), person[count:].numpy())
