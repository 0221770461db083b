# SPDX-License-Identifier: Apache-2.0
"""Tunes the generator for one person, so that it paints what no latent of its own gives: pivotal tuning.

Roich et al., *Pivotal Tuning for Latent-based Editing of Real Images*, ACM Transactions on Graphics, 2022. The latent
stays, and the weights of the convolutions are trained for some steps, on the photograph and on how it would look with
each expression (``expressions``). Their changes are kept as low-rank products.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping

import torch
from torch import Tensor

from ..faces import FaceModel, Identity
from ..generators import load_trainable
from ..generators.planes import colour
from .expressions import Example, examples
from .inversion import Progress
from .objective import LPIPS, Target, mesh_of, pixels_apart, points_apart, unlike
from .stages import Stages

_STEPS = 60
_RATE = 1e-3  # with 4e-3, ten steps undo what the generator has learnt of faces, and expressions with it
_BETAS = (0.9, 0.95)
_FALLING = 0.4  # the last share of the steps, over which the rate falls to zero
_RANK = 32
_NUMBERS = 500_000  # in all, of two bytes each, because a frame of a request carries a MiB
# Weights, where the photograph's pixels have 1; of points they are for squared picture widths. With more for the points
# or the examples, the face is met less well.
_POINTS = 5.0
_EDITED = 2.0  # of an example of an expression
_MOVED = 80.0  # of how its points have moved
_KEPT_EVERY_S = 10.0

Deltas = Mapping[str, tuple[Tensor, Tensor]]

Steps = Generator[Progress, None, Deltas]


def tune(model: FaceModel, identity: Identity, target: Target, stages: Stages) -> Steps:
    """Trains the model's generator to paint the target, a photograph, for the identity's latent.

    It yields after every example and every step, and returns the changes by parameter, for ``load_generator``. The same
    input gives the same changes. Where it is is kept in ``stages`` every few seconds, and it goes on from there. Raises
    GeneratorFileError, and what keeping raises.
    """
    if target.face is None or model.generator_path is None:
        raise ValueError("a generator is tuned to a photograph's face, and read from its file for that")
    network = load_trainable(model.generator_path, model.generator_sha256).to(model.generator.device)
    named = {name: value for name, value in network.named_parameters() if _is_tuned(name)}
    before = {name: value.detach().clone() for name, value in named.items()}
    network.requires_grad_(requires_grad=False)
    for value in named.values():
        value.requires_grad_()
    still = _still(before)
    optimiser = torch.optim.Adam(named.values(), lr=_RATE, betas=_BETAS)
    device = model.generator.device
    ws = identity.ws[None].to(device)
    face, wanted, apart = target.face, mesh_of(target.picture, target.face), unlike(target)
    with torch.no_grad():
        begun = colour(network.synthesize(ws), network.planes)
    shown: list[Example] = []
    for example in examples(model, identity, target, face):
        shown.append(example)
        yield Progress("tuned", 0.0, begun, target.picture)
    here, kept_at = stages.part(f"tuned {identity.key}"), time.monotonic()
    for step in range(_go_on(optimiser, here.kept.get(here.of)), _STEPS):
        optimiser.param_groups[0]["lr"] = _RATE * min(1.0, (_STEPS - step) / (_FALLING * _STEPS))
        with torch.enable_grad():
            picture = colour(network.synthesize(ws), network.planes)
            found = mesh_of(picture, face)
            cost = pixels_apart(picture, target) + _POINTS * points_apart(found, wanted)
            if apart is not None:
                cost = cost + LPIPS * apart(picture)
            if shown:
                example = shown[step % len(shown)]
                edited = colour(network.synthesize(example.ws), network.planes)
                moved = points_apart(mesh_of(edited, face) - found.detach(), example.moved)
                cost = cost + _EDITED * example.missed(edited) + _MOVED * moved
            optimiser.zero_grad()
            cost.backward()  # type: ignore[no-untyped-call]
        for name, where in still.items():
            gradient = named[name].grad
            assert gradient is not None
            gradient[where] = 0
        optimiser.step()
        if time.monotonic() - kept_at >= _KEPT_EVERY_S:
            here.kept.put(here.of, _state(optimiser, step + 1))
            kept_at = time.monotonic()
        yield Progress("tuned", (step + 1) / _STEPS, picture.detach(), target.picture)
    here.kept.drop(here.of)
    learnt = {name: value.detach() - before[name] for name, value in named.items()}
    rank = _rank([change.shape for change in learnt.values()])
    return {name: _factors(change, rank) for name, change in learnt.items()}


def _state(optimiser: torch.optim.Adam, steps: int) -> Tensor:
    """Returns all that later steps depend on, in a row: the number of steps taken, then weights and their moments."""
    parts = [torch.tensor([float(steps)])]
    for value in optimiser.param_groups[0]["params"]:
        known = optimiser.state[value]
        parts += [part.detach().reshape(-1).cpu() for part in (value, known["exp_avg"], known["exp_avg_sq"])]
    return torch.cat(parts)


@torch.no_grad()
def _go_on(optimiser: torch.optim.Adam, state: Tensor | None) -> int:
    """Takes up what ``_state`` has returned; returns the number of steps taken, 0 where there is nothing to take up."""
    values: list[Tensor] = optimiser.param_groups[0]["params"]
    sizes = [value.numel() for value in values for _ in range(3)]
    if state is None or state.shape != (1 + sum(sizes),):
        return 0
    steps, *parts = torch.split(state, [1, *sizes])
    for value, weights, mean, square in zip(values, parts[::3], parts[1::3], parts[2::3], strict=True):
        value.copy_(weights.reshape(value.shape))
        moments = {
            name: part.reshape(value.shape).to(value) for name, part in (("exp_avg", mean), ("exp_avg_sq", square))
        }
        optimiser.state[value] = {"step": steps[0].clone(), **moments}
    return int(steps)


def _is_tuned(name: str) -> bool:
    """Returns whether a parameter is tuned: those of the convolutions are; the affine layers keep edits as they are."""
    return name.startswith("synthesis.") and ".affine." not in name and "noise" not in name


def _still(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns, by parameter, which channels of a convolution stay as they are, [channels]; most have none.

    A channel that reads nothing is a constant, as what carries the default's grain. It is shown at a large gain: a step
    of _RATE in each of its weights would take colours beyond their range.
    """
    found = {}
    for name, value in values.items():
        if value.ndim == 4 and not (reads := value.flatten(1).any(dim=1)).all():
            found[name] = ~reads
            bias = name.removesuffix("weight") + "bias"
            if bias in values:
                found[bias] = ~reads
    return found


def _rank(shapes: list[torch.Size]) -> int:
    """Returns the largest rank, at most _RANK, for which all changes together have at most _NUMBERS numbers."""
    flat = [(shape[0], shape[1:].numel()) for shape in shapes]
    return next(
        (
            rank
            for rank in range(_RANK, 1, -1)
            if sum(min(rank, rows, columns) * (rows + columns) for rows, columns in flat) <= _NUMBERS
        ),
        1,
    )


def _factors(delta: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Returns the best approximation of a change by a product of two matrices of that rank, in half precision."""
    U, S, Vh = torch.linalg.svd(delta.reshape(len(delta), -1).cpu().double(), full_matrices=False)
    root = S[:rank].sqrt()
    return (U[:, :rank] * root).half(), (root[:, None] * Vh[:rank]).half()
