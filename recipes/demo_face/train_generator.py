# SPDX-License-Identifier: Apache-2.0
"""Trains the embedded default's generator: a StyleGAN2 that learns, by plain regression, to paint the renders.

Latents have known meaning (``latents``, ``mapping``), so no discriminator is needed: the synthesis learns what the
renderer makes of w, a code of the parameters, with alpha, normals and depth (``planes``). The loss counts most where
people look, and what changes between two expressions of one face. Everything is a function of the number of pictures
seen (order, rates), so a run that was stopped goes on exactly as if it had not been.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from effigy.generators.networks.configs import StyleGAN2Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.operations import has_matrix_units
from effigy.generators.networks.stylegan2 import StyleGAN2, StyleGAN2Synthesis
from effigy_protocol.files import whole_file

from .dataset import opened
from .grain import grained, silence_carrier, ungrained
from .latents import Z_DIM
from .levels import levelled, unlevelled
from .losses import around_face, attention, edit_loss, emphasised, inside, regression_loss, sharpened
from .mapping import LAYERS, W_DIM, centred, code, with_mapping
from .optimiser import Optimiser
from .parameters import COUNT, EXPRESSION
from .planes import ALPHA, NAMES, RGB
from .widen import widened

HELD_OUT = 256  # pictures of the last data set, which only judge
VALIDATE = 4096  # pictures between two judgements, each with a checkpoint
# How much an error counts in each plane. Alpha ends in an edge, which costs more than a shade that is off.
SHARES = (1.0, 1.0, 1.0, 0.9, 0.4, 0.4, 0.4, 0.6)
STATE = ("plan", "seen", "network", "average", "optimiser")  # what a checkpoint holds
# The colours of hair are learnt by squares; the planes that have edges there by absolute errors.
GENTLE = (1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides a training; a checkpoint goes on only under the plan that it was begun with."""

    resolution: int = 128
    channel_base: int = 8192  # as in the official code: channel_base / resolution, channel_max at most
    channel_max: int = 256
    held: int = 0  # blocks of up to this many pixels a side stay as they were begun with
    pictures: int = 300_000  # to be seen in all
    batch: int = 16
    rate: float = 1e-3
    last_rate: float = 0.02  # of ``rate``; a cosine leads there while pictures are whole
    editing: float = 0.25  # weight of what changes between the two pictures of a pair, beside painting
    # What it paints is softer than what it is shown: so it is shown pictures that are sharper than the renders.
    crispness: float = 0.3
    hair_crispness: float = 0.25  # of hair, ears, neck and clothes
    lock_contrast: float = 0.2  # how much more locks of hair differ from each other than in the renders
    # What a picture misses is coarse first: outlines, colours, collars. Small ones teach those up to four times faster.
    eighth: float = 0.0  # the share of the pictures that is seen at an eighth of the size
    quarter: float = 0.4  # and, after them, at a quarter
    half: float = 0.3  # and at half of it; the rate falls after them all
    bfloat16: bool = has_matrix_units()  # whether convolutions are; 1.7 times as fast with AMX, or on Zen 5

    def __post_init__(self) -> None:
        """Raises ValueError for shares that leave nothing to be seen whole, half pairs, and nothing to train."""
        if self.batch < 2 or self.batch % 2:
            raise ValueError(f"a batch of {self.batch} pictures is not made of pairs")
        shares = (self.eighth, self.quarter, self.half)
        if not (all(share >= 0 for share in shares) and sum(shares) < 1):  # nor if one is no number
            raise ValueError(f"shares of {', '.join(map(str, shares))} leave no pictures to be seen whole")
        if self.size_at(0) < 4:
            raise ValueError(f"pictures of {self.size_at(0)} pixels are seen first, and the smallest block paints 4")
        if self.held >= self.size_at(0):
            raise ValueError(
                f"blocks of up to {self.held} pixels are held, and pictures of {self.size_at(0)} are seen first, which "
                "would teach nothing: hold fewer blocks, or set eighth, quarter and half to 0"
            )

    @property
    def network(self) -> StyleGAN2Config:
        sizes = [4 << level for level in range(int(math.log2(self.resolution)) - 1)]
        channels = tuple(min(self.channel_base // size, self.channel_max) for size in sizes)
        return StyleGAN2Config(Z_DIM, W_DIM, channels, LAYERS, mapping_lr_multiplier=1.0, planes=NAMES)

    def size_at(self, seen: int) -> int:
        """Returns the pictures' size after ``seen`` of them."""
        done = seen / self.pictures
        for parts, end in zip((8, 4, 2), accumulate((self.eighth, self.quarter, self.half)), strict=True):
            if done < end:
                return self.resolution // parts
        return self.resolution

    def rate_at(self, seen: int) -> float:
        warm = min(1.0, (seen + 1) / (50 * self.batch))
        level = self.eighth + self.quarter + self.half
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, (seen / self.pictures - level) / (1 - level)))))
        return self.rate * warm * (self.last_rate + (1 - self.last_rate) * fall)


class Renders:
    """Data sets of pairs on disk, one after the other; the last HELD_OUT pictures are for judging.

    Raises ValueError for what is no data set, for one that was not rendered in pairs, and where none would be left to
    train on.
    """

    def __init__(self, folders: list[Path], device: str = "cpu") -> None:
        sets = [opened(folder, "pictures", "vectors", "landmarks") for folder in folders]
        self.pictures, *others = zip(*sets, strict=True)
        self.vectors, self.landmarks = (torch.from_numpy(np.concatenate(parts)).to(device) for parts in others)
        self.starts = np.cumsum([0, *[len(pictures) for pictures in self.pictures]])
        self.training = len(self.vectors) - HELD_OUT
        if self.training < 2:
            raise ValueError(f"{len(self.vectors)} pictures are too few: the last {HELD_OUT} only judge")
        same = np.delete(np.arange(COUNT), EXPRESSION)
        for folder, (start, end) in zip(folders, pairwise(self.starts), strict=True):
            vectors = self.vectors[start:end]
            if len(vectors) % 2 or not torch.equal(vectors[::2, same], vectors[1::2, same]):
                raise ValueError(f"{folder} does not hold pairs: render it with --pairs")

    def take(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Returns pictures [N, PLANES, S, S] in [−1, 1], parameters [N, COUNT], and landmarks [N, 70, 2] in pixels."""
        sets = np.searchsorted(self.starts, rows, side="right") - 1
        chosen = np.stack([self.pictures[k][row - self.starts[k]] for k, row in zip(sets, rows, strict=True)])
        pictures = torch.from_numpy(chosen).to(self.vectors.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        return pictures, self.vectors[rows], self.landmarks[rows]

    def batch(self, seen: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the batch after ``seen`` pictures, of ``size`` / 2 pairs: every epoch has its own order."""
        steps = self.training // size
        epoch, step = divmod(seen // size, steps)
        order = np.random.default_rng(epoch).permutation(self.training // 2)
        first = 2 * np.sort(order[step * size // 2 : (step + 1) * size // 2])
        return self.take(np.stack([first, first + 1], axis=1).ravel())

    def held_out(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.take(np.arange(self.training, len(self.vectors)))


class Training:
    """A generator on its way: its synthesis of w − m, that with averaged weights, the optimiser, how much was seen."""

    def __init__(self, plan: Plan, device: str = "cpu") -> None:
        self.plan = plan
        self.seen = 0
        self.network = StyleGAN2(plan.network)
        initialize(self.network)
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        assert isinstance(self.network.synthesis, StyleGAN2Synthesis)
        for block in self.network.synthesis.blocks():
            block.requires_grad_(block.conv1.noise_const.shape[-1] > plan.held)
        silence_carrier(self.network)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = Optimiser(self.network)

    def begin(self, start: StyleGAN2) -> None:
        """Begins with ``start``, which ``finished`` has made, widened to the plan's channels, without levels and grain.

        One without grain loses its last channel where its finest block stays the finest. Raises ValueError when it
        cannot become what the plan asks for.
        """
        wide = widened(ungrained(unlevelled(start)), self.plan.network.channels)
        if wide.config != self.plan.network:
            raise ValueError(f"a generator of {wide.config} cannot go on as one of {self.plan.network}")
        self.network.load_state_dict(centred(wide).state_dict())
        silence_carrier(self.network)
        self.average.load_state_dict(self.network.state_dict())

    def step(self, renders: Renders, compute: Callable[..., Tensor] | None = None) -> Tensor:
        """Sees one batch; returns the loss. ``compute`` is ``loss_of``, or its compiled twin."""
        plan = self.plan
        size = plan.size_at(self.seen)
        pictures, vectors, landmarks = renders.batch(self.seen, plan.batch)
        wanted = F.avg_pool2d(pictures, plan.resolution // size)
        points, alpha = landmarks * (size / plan.resolution), (wanted[:, ALPHA].squeeze(1) + 1) / 2
        around = around_face(points, alpha)
        weight, hair = attention(points, alpha, around), around[:, None]
        gentle = hair * inside(alpha[:, None])  # along its edge, colours are to end where alpha ends
        wanted[:, RGB] = emphasised(wanted[:, RGB], plan.lock_contrast * hair, alpha[:, None])
        wanted[:, RGB] = sharpened(wanted[:, RGB], plan.crispness + (plan.hair_crispness - plan.crispness) * hair)
        loss = (compute or loss_of)(self.network, code(vectors), wanted, weight, gentle, plan)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step(plan.rate_at(self.seen))
        self.seen += plan.batch
        # Averages over about the last sixteenth of what was seen, at most over some eight thousand pictures.
        span = max(1.0, min(self.seen / 16, 8000.0) / plan.batch)
        with torch.no_grad():
            mine: list[Tensor] = list(self.network.parameters())
            averaged: list[Tensor] = list(self.average.parameters())
            torch._foreach_lerp_(averaged, mine, 1 / span)
        return loss.detach()

    def finished(self) -> StyleGAN2:
        """Returns the averaged weights as a generator to store: levelled, in grain, with the mapping, on the CPU."""
        return grained(levelled(with_mapping(self.average)))

    def save(self, path: Path) -> None:
        parts = self.network, self.average, self.optimiser
        state = dict(zip(STATE, (asdict(self.plan), self.seen, *(part.state_dict() for part in parts)), strict=True))
        with whole_file(path) as temporary:
            torch.save(state, temporary)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Training:
        """Reads what ``save`` wrote. Raises ValueError for anything else, as what an earlier version wrote."""
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            plan, seen, network, average, optimiser = (state[name] for name in STATE)
            known = plan.keys()
        except (UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError):
            raise ValueError(
                f"{path} is no checkpoint that this recipe's train has written: name another file"
            ) from None
        if known != asdict(Plan()).keys():
            raise ValueError(f"{path} was begun with another version of this recipe: begin anew, with --start")
        training = cls(Plan(**plan), device)
        training.seen = seen
        training.network.load_state_dict(network)
        training.average.load_state_dict(average)
        training.optimiser.load_state_dict(optimiser)
        return training


def loss_of(network: StyleGAN2, w: Tensor, wanted: Tensor, weight: Tensor, gentle: Tensor, plan: Plan) -> Tensor:
    """Computes how far the pictures of w − m, and their changes within pairs, are from those wanted."""
    painted = paint(network, w, wanted.shape[-1], bfloat16=plan.bfloat16)
    shares = painted.new_tensor(SHARES)[:, None, None]
    gentle = gentle * painted.new_tensor(GENTLE)[:, None, None]
    regression = regression_loss(shares * painted, shares * wanted, weight, gentle)
    return regression + plan.editing * edit_loss(painted[:, RGB], wanted[:, RGB], weight)


def paint(network: StyleGAN2, w: Tensor, size: int, *, bfloat16: bool = False) -> Tensor:
    """w [N, w_dim] → pictures [N, PLANES, size, size], by as many blocks as it takes."""
    with torch.autocast(w.device.type, torch.bfloat16, enabled=bfloat16):
        styles = network.synthesis.styles(w[:, None].expand(-1, network.num_ws, -1))
        return network.synthesis(styles[: 3 * int(math.log2(size)) - 4], noise=False)


@torch.no_grad()
def judged(network: StyleGAN2, renders: Renders, size: int) -> tuple[float, float]:
    """Measures mean PSNR of RGB (dB) and mean error of alpha on the held-out pictures, as they were rendered."""
    pictures, vectors, _ = renders.held_out()
    painted = torch.cat([paint(network, part, size) for part in code(vectors).split(32)])
    wanted = F.avg_pool2d(pictures, pictures.shape[2] // size)
    error = (painted.clamp(-1, 1) - wanted) / 2
    squares = error[:, RGB].square().mean(dim=(1, 2, 3))
    return float((-10 * squares.log10()).mean()), float(error[:, ALPHA].abs().mean())


def run(training: Training, renders: Renders, checkpoint: Path, *, compiled: bool = False) -> None:
    """Trains to the plan's end, judging and saving on the way.

    ``compiled`` has torch compile what repeats: 28 instead of 17 pictures a second on two Zen 4 cores.
    """
    plan = training.plan
    compute = torch.compile(loss_of, dynamic=False) if compiled else loss_of
    started, first = time.monotonic(), training.seen
    losses: list[float] = []
    while training.seen < plan.pictures:
        losses.append(float(training.step(renders, compute)))
        if training.seen // VALIDATE > (training.seen - plan.batch) // VALIDATE or training.seen >= plan.pictures:
            speed = (training.seen - first) / (time.monotonic() - started)
            size = plan.size_at(training.seen - 1)
            decibels, alpha = judged(training.average, renders, size)
            print(
                f"{training.seen} of {plan.pictures}  {size}²  {speed:.1f} pictures/s  loss {np.mean(losses):.4f}  "
                f"{decibels:.2f} dB  alpha {100 * alpha:.2f} %",
                flush=True,
            )
            losses.clear()
            training.save(checkpoint)
