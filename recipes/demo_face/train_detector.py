# SPDX-License-Identifier: Apache-2.0
"""Trains the embedded landmark detector on pictures with exact landmarks.

Each data set is a folder with ``pictures.npy`` [N, 128, 128, PLANES] uint8 and ``landmarks.npy`` [N, 70, 2] float32 in
pixels (x right, y down): renders of the demo head, and pictures of the generator, whose landmarks are known
because its latents determine the parameters. Training starts from a file of weights, if there is one, and replaces
it at the end; every minute it saves its state beside that file, so that a stopped training can go on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from effigy.geometry import load_topology
from effigy.landmarks.embedded import INPUT, LandmarkNetwork
from effigy_protocol.files import whole_file

from .dataset import opened
from .planes import RGB
from .renderer import LANDMARKS
from .storage import save_half

BATCH = 32
RATE = 1.5e-3
HELD_OUT = 512  # of each data set
EXPRESSIVE = 2.5  # weight of eyes and mouth over the rest
# Distances that show a blink, an open mouth or a smile: lids, lips, mouth corners.
GAPS = ((37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65), (51, 57), (48, 54))
# Those that show which part of a brow rises: brows and eyes, and a brow's ends. Without them, inner brows that rose by
# .038 of the outer-eye distance were seen to rise by .018.
BROWS = ((17, 36), (19, 37), (21, 39), (22, 42), (24, 44), (26, 45), (21, 17), (22, 26))
LOWER_LIP = ((57, 8), (66, 8))  # and the chin
# Those that show a glance: irises and corners of the eyes. They count twice, as a glance is a matter of one pixel.
GLANCES = ((68, 36), (68, 39), (69, 42), (69, 45))
GAP_WEIGHT = 2.0


class Pictures:
    """One data set; the last HELD_OUT pictures are for evaluation only."""

    def __init__(self, folder: Path) -> None:
        self.pictures, landmarks = opened(folder, "pictures", "landmarks")
        self.landmarks = torch.from_numpy(np.array(landmarks[: len(self.pictures)])) / INPUT
        self.count = len(self.landmarks) - HELD_OUT

    def take(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Returns pictures [N, 3, 128, 128] in [−1, 1] and landmarks [N, 70, 2] in [0, 1]."""
        pictures = torch.from_numpy(self.pictures[np.sort(rows)][..., RGB]).permute(0, 3, 1, 2).float() / 127.5 - 1
        return pictures, self.landmarks[np.sort(rows)]


def batches(sets: list[Pictures], random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields batches without end, with an equal share of every data set."""
    share = BATCH // len(sets)
    while True:
        parts = [data.take(random.choice(data.count, share, replace=False)) for data in sets]
        yield augment(torch.cat([p for p, _ in parts]), torch.cat([q for _, q in parts]))


def augment(x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mirrored, rotated, scaled, shifted, recoloured, blurred and noisy versions, with their landmarks."""
    n = len(x)
    mirrored = torch.rand(n) < 0.5
    flipped = points[:, load_topology("ibug70").mirror] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    points = torch.where(mirrored[:, None, None], flipped, points)
    angle, scale = 0.4 * (torch.rand(n) - 0.5), 1 + 0.3 * (torch.rand(n) - 0.5)
    c, s = angle.cos() * scale, angle.sin() * scale
    A = torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)
    shift = 0.16 * (torch.rand(n, 2) - 0.5)
    grid = F.affine_grid(torch.cat([A, shift[:, :, None]], 2), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False, padding_mode="reflection")
    # The grid gives the source of each new pixel, so points move by the inverse.
    centred = 2 * points - 1 - shift[:, None]
    points = (torch.linalg.solve(A, centred.transpose(1, 2)).transpose(1, 2) + 1) / 2
    x = x * (1 + 0.3 * (torch.rand(n, 3, 1, 1) - 0.5)) + 0.3 * (torch.rand(n, 1, 1, 1) - 0.5)
    if torch.rand(()) < 0.4:
        x = F.avg_pool2d(x, 3, 1, 1)
    return x + 0.03 * torch.rand(()) * torch.randn_like(x), points


def loss_of(found: Tensor, wanted: Tensor) -> Tensor:
    """Returns distances in pixels, with more weight on eyes and mouth, plus the error of the expressive distances."""
    error = INPUT * (found - wanted)
    weight = torch.ones(LANDMARKS)
    weight[36:] = EXPRESSIVE
    a, b = zip(*GAPS, *BROWS, *LOWER_LIP, *2 * GLANCES, strict=True)
    gaps = error[:, list(a)] - error[:, list(b)]
    return (weight * error.norm(dim=-1)).mean() + GAP_WEIGHT * gaps.norm(dim=-1).mean()


@torch.no_grad()
def judge(network: LandmarkNetwork, data: Pictures) -> tuple[float, float]:
    """Returns NME in percent of the outer-eye distance, and the correlation of detected and true lid gaps."""
    network.eval()
    parts = [data.take(np.arange(i, i + 64)) for i in range(data.count, data.count + HELD_OUT, 64)]
    found = torch.cat([network(x) for x, _ in parts])
    wanted = torch.cat([points for _, points in parts])
    network.train()
    size = outer_eyes(wanted)
    lids = [(p[:, [40, 41, 46, 47], 1].mean(1) - p[:, [37, 38, 43, 44], 1].mean(1)) / size for p in (found, wanted)]
    nme = 100 * float(((found - wanted).norm(dim=-1).mean(dim=1) / size).mean())
    return nme, float(torch.corrcoef(torch.stack(lids))[0, 1])


def outer_eyes(points: Tensor) -> Tensor:
    """Returns [N] the outer-eye distances, which errors are relative to, of landmarks [N, L, 2] in shares of a picture.

    They are at least 0.15, which those of heads that are seen from the side come close to.
    """
    return (points[:, 45] - points[:, 36]).norm(dim=-1).clamp_min(0.15)


def train_detector(folders: list[Path], weights: Path, minutes: float) -> None:
    """Trains on the data sets in ``folders``, an equal share of each."""
    torch.manual_seed(0)
    sets = [Pictures(folder) for folder in folders]
    network = LandmarkNetwork(landmarks=LANDMARKS)
    if weights.exists():
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(weights).items()})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE)
    state_file = weights.with_suffix(".state.pt")
    state: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
    step, seconds = state["step"], state["seconds"]
    last, reported = time.monotonic(), seconds
    for x, points in batches(sets, np.random.default_rng(step)):
        if seconds >= 60 * minutes:
            break
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * seconds / (60 * minutes)))
        with torch.autocast("cpu", torch.bfloat16):
            found = network(x.contiguous(memory_format=torch.channels_last))
        loss = loss_of(found, points)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        now = time.monotonic()
        seconds, last = seconds + now - last, now
        if seconds - reported > 60:
            reported = seconds
            marks = "  ".join(
                f"{f.name}: NME {n:.2f} % lids {c:.2f}"
                for f, s in zip(folders, sets, strict=True)
                for n, c in [judge(network, s)]
            )
            print(f"{seconds / 60:5.1f} min  step {step}  loss {loss.item():.3f}  {marks}", flush=True)
            state = {
                "step": step,
                "seconds": seconds,
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
            }
            with whole_file(state_file) as temporary:
                torch.save(state, temporary)
            last = time.monotonic()
    save_half(network, weights)
    state_file.unlink(missing_ok=True)
    for folder, data in zip(folders, sets, strict=True):
        print(f"{folder.name}: NME {judge(network, data)[0]:.2f} %, lids {judge(network, data)[1]:.2f}")
