# SPDX-License-Identifier: Apache-2.0
"""Trains two identity networks on pictures of known people: one that edits use to keep the person, and another that is
used only to measure.

Each data set is a folder with ``pictures.npy`` [N, 128, 128, PLANES] uint8 and ``people.npy`` [N], numbers:
pictures of one person differ in pose, expression, light, clothes and background. The loss is the supervised
contrastive one (Khosla et al., NeurIPS 2020): a person's pictures attract, all others repel.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effigy.recognition import embedded, judge

from .dataset import opened
from .planes import RGB
from .storage import save_half

PEOPLE, PICTURES = 48, 3  # of a batch
RATE = 2e-3
TEMPERATURE = 0.1
HELD_OUT = 100  # people for evaluation only
SHIFT = 0.04  # of the picture's width: crops are never exact


class People:
    """One data set in memory, at the network's ``size``; its last HELD_OUT people are for evaluation only."""

    def __init__(self, folder: Path, size: int) -> None:
        pictures, people = opened(folder, "pictures", "people")
        self.pictures = torch.cat([shrink(pictures[i : i + 512], size) for i in range(0, len(people), 512)])
        groups = [torch.from_numpy(np.flatnonzero(people == person)) for person in np.unique(people)]
        self.groups = [group for group in groups if len(group) >= PICTURES]

    def draw(self, random: np.random.Generator) -> Tensor:
        """Draws [PEOPLE · PICTURES, 3, size, size] in [−1, 1], the pictures of a person one after the other."""
        chosen = random.choice(len(self.groups) - HELD_OUT, PEOPLE, replace=False)
        rows = [group[random.permutation(len(group))[:PICTURES]] for group in (self.groups[i] for i in chosen)]
        return augment(self.pictures[torch.cat(rows)].float() / 127.5 - 1)

    def held_out(self) -> Tensor:
        """Returns [HELD_OUT, PICTURES, 3, size, size] of people who are in no batch."""
        rows = torch.stack([group[:PICTURES] for group in self.groups[-HELD_OUT:]])
        return self.pictures[rows].float() / 127.5 - 1


def shrink(pictures: np.ndarray, size: int) -> Tensor:
    images = torch.from_numpy(np.array(pictures[..., RGB])).permute(0, 3, 1, 2).float()
    return F.interpolate(images, size=(size, size), mode="area").round().byte()


def augment(x: Tensor) -> Tensor:
    """Returns mirrored, shifted and slightly scaled versions."""
    n = len(x)
    flip = torch.where(torch.rand(n // PICTURES) < 0.5, -1.0, 1.0).repeat_interleave(PICTURES)  # by person
    scale = 1 + SHIFT * torch.randn(n)
    shift = SHIFT * torch.randn(n, 2)
    zero = torch.zeros(n)
    affine = torch.stack([scale * flip, zero, shift[:, 0], zero, scale, shift[:, 1]], dim=1).view(n, 2, 3)
    return F.grid_sample(x, F.affine_grid(affine, list(x.shape), align_corners=False), "bilinear", "border", False)


def contrast(vectors: Tensor) -> Tensor:
    """Returns the supervised contrastive loss of unit vectors [PEOPLE · PICTURES, D]."""
    n = len(vectors)
    people = torch.arange(n) // PICTURES
    same = (people[:, None] == people) & ~torch.eye(n, dtype=torch.bool)
    logits = (vectors @ vectors.T / TEMPERATURE).masked_fill(torch.eye(n, dtype=torch.bool), -1e4)
    return -F.log_softmax(logits, dim=1)[same].mean()


@torch.no_grad()
def measure(network: nn.Module, data: People) -> tuple[float, float, float]:
    """Returns mean similarity within a person and between people, and how often the nearest picture is the person's."""
    network.eval()
    pictures = data.held_out()
    vectors = network(pictures.flatten(0, 1)).view(HELD_OUT, PICTURES, -1)
    network.train()
    between = torch.einsum("ipd,jpd->ij", vectors[:, :1], vectors[:, 1:2])
    own = between.diagonal()
    others = between[~torch.eye(HELD_OUT, dtype=torch.bool)]
    return (
        float(own.mean()),
        float(others.mean()),
        float((between.argmax(dim=1) == torch.arange(HELD_OUT)).float().mean()),
    )


def train_identity(folders: list[Path], weights: Path, minutes: float) -> None:
    """Trains the identity network on the data sets in ``folders``, and writes ``weights``."""
    torch.manual_seed(0)
    _train(embedded.IdentityNetwork(), embedded.INPUT, 0, folders, weights, minutes)


def train_judge(folders: list[Path], weights: Path, minutes: float) -> None:
    """Trains the network that is used only to measure; give it pictures of other people."""
    torch.manual_seed(1)
    _train(judge.JudgeNetwork(), judge.INPUT, 1, folders, weights, minutes)


def _train(network: nn.Module, size: int, seed: int, folders: list[Path], weights: Path, minutes: float) -> None:
    """Trains on the data sets in turns, shrunk to ``size``."""
    random = np.random.default_rng(seed)
    sets = [People(folder, size) for folder in folders]
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
    started, step, reported = time.monotonic(), 0, 0.0
    while (seconds := time.monotonic() - started) < 60 * minutes:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * seconds / (60 * minutes)))
        with torch.autocast("cpu", torch.bfloat16):
            vectors = network(sets[step % len(sets)].draw(random).contiguous(memory_format=torch.channels_last))
        loss = contrast(vectors.float())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        if seconds - reported > 60:
            reported = seconds
            print(
                f"{seconds / 60:5.1f} min  step {step}  loss {loss.item():.3f}  {marks(network, folders, sets)}",
                flush=True,
            )
    save_half(network, weights)
    print(marks(network, folders, sets))


def marks(network: nn.Module, folders: list[Path], sets: list[People]) -> str:
    figures = [(f.name, *measure(network, data)) for f, data in zip(folders, sets, strict=True)]
    return "  ".join(f"{name}: same {a:.2f} other {b:.2f} found {100 * c:.0f} %" for name, a, b, c in figures)
