# SPDX-License-Identifier: Apache-2.0
"""Trains the heads of ``appearance`` on sampled pictures.

First, what pose explains of colours and embeddings is subtracted, so that edits may shade a turned face as turned faces
are shaded. What expression explains is not subtracted: those correlations are accidents of the samples, which the heads
are there to prevent.

Where it is known which latents show one scene, the heads do not see what differs within scenes at all: it is how faces
move, and a face's shading may change as it moves. Of latents that are only known to show one person that cannot be
said, since hair and light differ between them too.
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
from .network import Architecture, Network, without
from .parameters import Parameters
from .patches import patch_colours, patch_names, patch_points
from .regressor import Regressor

COMPONENTS = 16  # principal components of the embedding
_HEAD = Architecture(depth=2, width=128)
_STEPS, _BATCH, _RATE = 1500, 256, 2e-3
_DECAY, _LINEAR_DECAY = 0.03, 1e-3
_LEAST = 0.3  # share of the embeddings' variance that the identity head must explain, or it is left out
_CHECK = 100  # steps between evaluations on the held-out samples
_POSE_RIDGE, _COLOUR_RIDGE = 1e-3, 1e-2  # of the mean square of a feature
_PART = 1000  # samples that are read at a time


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The share of variance, beyond what pose explains, that the heads predict on held-out samples, at most 1.

    ``identity`` is None without an identity head: if there were no embeddings, or it predicted too little of them.
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
    moving: Tensor | None = None,
) -> tuple[Appearance, HeldOut]:
    """Trains the heads on samples of N people.

    Args:
        regressor: reads where the faces are.
        shape: its shape model.
        topology: names the patches whose colours are read.
        ws: the latents, [N, rows, w_dim].
        thumbnails: their pictures in sRGB, [N, 3, S, S].
        vectors: their embeddings, [N, D]; with D = 0 there is no identity head.
        held_out: so many samples at the end are not trained on; they judge, and choose the identity head's best state.
        seed: of the identity head's initial weights and batches.
        progress: called with steps done and steps in all.
        moving: orthonormal axes [V, R] along which latents of one scene differ, where that is known.
    """
    v, q = _read(regressor, ws)
    if moving is not None:
        v = without(v, moving)
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
        elif moving is not None:
            identity.ignore(moving)
    firmness = [patch.held for patch in patches.values()]
    firmness += [1.0] * (len(patch_names(patches)) - len(firmness))  # of the background
    held = np.repeat(firmness, 3)[:, None] * solution[:-1].T
    head = Appearance(patch_names(patches), torch.from_numpy(held), identity)
    return head, HeldOut(known, known_person)


def _read(regressor: Regressor, ws: Array) -> tuple[Tensor, Array]:
    """ws [N, rows, w_dim] → v [N, V] and q [N, Q]."""
    parts = [regressor.read(part) for part in torch.split(torch.from_numpy(ws), _PART)]
    return torch.cat(parts), torch.cat([regressor(part) for part in parts]).numpy()


def _colours(patches: dict[str, Patch], shape: ShapeModel, views: Parameters, thumbnails: NDArray[np.uint8]) -> Array:
    """Reads the colours [N, 3 P] of the thumbnails [N, 3, S, S]."""
    points = patch_points(patches, shape, views.alpha, views.camera)
    parts = [slice(start, start + _PART) for start in range(0, len(points), _PART)]
    colours = [patch_colours(torch.from_numpy(thumbnails[p]), points[p], views.camera.s[p]) for p in parts]
    return np.concatenate(colours).reshape(len(points), -1)


def pose_features(camera: Camera) -> Array:
    """Returns polynomials of the pose, [N, 12], on which colours may depend; each has about unit size."""
    yaw, pitch, roll = angles(camera.R)
    flat = np.stack([yaw, pitch, roll, np.log(camera.s), *camera.t.T], axis=1)
    flat = (flat - flat.mean(axis=0)) / flat.std(axis=0).clip(1e-6)
    y, p = flat[:, 0], flat[:, 1]
    return np.column_stack([np.ones_like(y), flat, y * y, p * p, y * p, y**3, y * y * p])


def beyond(features: Array, values: Array) -> Array:
    """Subtracts from ``values`` [N, K] what is linear in ``features`` [N, F]."""
    return values - features @ ridge(features, values, _POSE_RIDGE)


def ridge(features: Array, values: Array, strength: float) -> Array:
    """Returns the B [F, K] of ridge regression, ``values`` [N, K] ≈ ``features`` [N, F] · B.

    The penalty is ``strength`` times the mean over features of their sum of squares.
    """
    A = features.T @ features
    return np.asarray(np.linalg.solve(A + strength * np.trace(A) / len(A) * np.eye(len(A)), features.T @ values))


def _main_components(values: Array) -> Array:
    """Returns the first COMPONENTS principal components of ``values`` [N, D]."""
    _, vectors = np.linalg.eigh(np.cov(values.T))
    return np.asarray(values @ vectors[:, ::-1][:, :COMPONENTS])


def _share(predicted: Array, true: Array) -> float:
    """Returns the share of the variance of ``true`` that is ``predicted``, over all outputs together."""
    return float(1 - np.square(predicted - true).sum() / np.square(true - true.mean(axis=0)).sum())


def _train_identity(
    v: Tensor, person: Tensor, count: int, seed: int, progress: Callable[[int, int], None]
) -> tuple[Network, float]:
    """Trains the identity head on the first ``count`` samples; returns it and its share of variance on the others."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    mean, deviation = person[:count].mean(dim=0), person[:count].std(dim=0)
    size = deviation.mean()
    inputs, target, relative = v.float(), ((person - mean) / size).float(), (deviation / size).float()
    network = Network(v.shape[1], person.shape[1], _HEAD)
    with torch.no_grad():  # start at the best linear map, so that only the rest is to be learnt
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

    best, least = copy.deepcopy(network), missed()  # the start may stay the best, as it does on w+, which is wide
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
