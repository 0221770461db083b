# SPDX-License-Identifier: Apache-2.0
"""Teaches the mapping what latents mean before any picture is painted.

Left to the pictures, rare and small actions never get into w: after 120 000 pictures a linear reading of w still
missed more than half of a wink's variance, and what is not in w no synthesis can paint. So the mapping first learns
to let every parameter be read linearly from w, all of equal weight: a regression of vectors, thousands of times
cheaper than pictures. Training goes on with the same term at a small weight (``train_generator.Plan.reading``).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effigy.generators.networks.dense import Mapping

from .latents import Z_DIM, gate, latents_of
from .parameters import COUNT

BATCH = 1024
RATE = 3e-3
STAY = 0.3  # weight of staying near a mapping that a synthesis knows already


def drawn_evenly(count: int, random: torch.Generator) -> Tensor:
    """p [count, COUNT]: what faces can do, and in every other row what users draw (see ``latents.gate``)."""
    p = torch.randn(count, COUNT, generator=random, device=random.device)
    p[::2] = gate(p[::2])
    return p


def reader_of(mapping: Mapping) -> nn.Linear:
    """The linear reading of parameters from w that fits ``mapping`` best, by least squares."""
    device = mapping.w_avg.device
    p = drawn_evenly(8192, torch.Generator(device).manual_seed(5))
    reader = nn.Linear(len(mapping.w_avg), COUNT, device=device)
    with torch.no_grad():
        w = mapping(latents_of(p, torch.Generator(device).manual_seed(6)))
        ones = torch.ones(len(w), 1, device=device)
        solved = torch.linalg.lstsq(torch.cat([w, ones], dim=1).double(), p.double()).solution.float()
        reader.weight.copy_(solved[:-1].T)
        reader.bias.copy_(solved[-1])
    return reader


def unread(mapping: Mapping, reader: nn.Linear, p: Tensor) -> Tensor:
    """[COUNT] the share of each parameter's variance that a linear reading of w misses."""
    return (reader(mapping(latents_of(p))) - p).square().mean(dim=0)


def teach(mapping: Mapping, steps: int, *, known: Mapping | None = None) -> nn.Linear:
    """Trains ``mapping`` (40 steps a second on two cores); near ``known``, when a synthesis was trained with that one.

    Returns the reader that was trained with it.
    """
    reader = reader_of(mapping)
    parameters = [*mapping.parameters(), *reader.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=RATE, betas=(0.9, 0.99))
    scale = (
        None
        if known is None
        else known(torch.randn(4096, Z_DIM, device=mapping.w_avg.device)).var(dim=0).mean().detach()
    )
    random = torch.Generator(mapping.w_avg.device).manual_seed(7)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * (1 - step / steps)
        p = drawn_evenly(BATCH, random)
        z = latents_of(p, random)
        w = mapping(z)
        loss = F.mse_loss(reader(w), p)
        if known is not None and scale is not None:
            with torch.no_grad():
                before = known(z)
            loss = loss + STAY * F.mse_loss(w, before) / scale
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 200 == 199:
            with torch.no_grad():
                missed = unread(mapping, reader, p)
            print(f"teaching {step + 1} of {steps}  missed {missed.mean():.3f}, at most {missed.max():.3f}", flush=True)
    return reader
