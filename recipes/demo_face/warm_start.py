# SPDX-License-Identifier: Apache-2.0
"""Starts a training from a generator whose latents were linear in the parameters, instead of from noise.

The synthesis is kept and widened to the channels of ``train.CONFIG``; the mapping is new, deeper, and learns
from the old one: latents that mean the same picture must give the same w. That is a regression of vectors,
thousands of times cheaper than painting pictures. The first embedded default of Effigy was trained on linear
latents and is what this was written for.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from backend.generators.checkpoints import open_checkpoint
from backend.generators.mapping import FullyConnected
from backend.generators.stylegan2 import StyleGAN2, StyleGAN2Config

from .latents import Z_DIM, directions, latents_of
from .parameters import COUNT, column

BATCH = 2048
RATE = 3e-2


def warm_start(network: StyleGAN2, old_file: Path, latent_map: Path, *, minutes: float) -> None:
    """Fills ``network`` (the shape of ``train.CONFIG``) from the generator in ``old_file``.

    ``latent_map`` is a .npz with ``A`` [COUNT, Z_DIM], the old generator's directions.
    """
    old = read_trainable(old_file)
    widen(network, old)
    A = torch.from_numpy(np.load(latent_map)["A"]).float()
    first = network.mapping.get_submodule("fc0")
    assert isinstance(first, FullyConnected)
    with torch.no_grad():  # reads what means something, and nothing else
        mix = torch.randn(len(first.weight), COUNT) / COUNT**0.5
        first.weight.copy_(mix @ directions() / first.weight_gain)
    started = time.monotonic()
    optimiser = torch.optim.Adam(network.mapping.parameters(), lr=RATE, betas=(0.9, 0.99))
    step = 0
    while (seconds := time.monotonic() - started) < 60 * minutes:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * max(0.0, 1 - seconds / (60 * minutes))
        p = torch.randn(BATCH, COUNT)
        with torch.no_grad():
            wanted = old.mapping(old_latents(p, A))
        loss = F.mse_loss(network.mapping(latents_of(p)), wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        if step % 100 == 0:
            share = loss.item() / wanted.var(dim=0).mean().item()
            print(f"{seconds:5.0f} s  step {step}  unexplained variance of w {100 * share:.2f} %", flush=True)


def read_trainable(path: Path) -> StyleGAN2:
    """The generator in one of our own files with its constants not folded, as training needs it."""
    with open_checkpoint(path) as checkpoint:
        assert isinstance(checkpoint.config, StyleGAN2Config)
        network = StyleGAN2(checkpoint.config)
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network


def old_latents(p: Tensor, A: Tensor) -> Tensor:
    """Old latents of the same picture: yaw and pitch reached less far then."""
    p = p.clone()
    yaw, pitch = column("yaw"), column("pitch")
    p[:, yaw] = torch.atanh((90 / 52 * torch.tanh(0.185 * p[:, yaw])).clamp(-0.97, 0.97)) / 0.315
    p[:, pitch] = torch.atanh((60 / 24 * torch.tanh(0.148 * p[:, pitch])).clamp(-0.97, 0.97)) / 0.28
    rest = torch.randn(len(p), Z_DIM)
    rest = rest - (rest @ A.T) @ A
    length = (Z_DIM - p.square().sum(dim=1, keepdim=True)).clamp_min(1.0).sqrt()
    return p @ A + rest / rest.norm(dim=1, keepdim=True) * length


@torch.no_grad()
def widen(network: StyleGAN2, old: StyleGAN2) -> None:
    """Copies the synthesis; new channels read what they like, but nothing listens to them yet."""
    state = old.state_dict()
    for name, target in network.state_dict().items():
        if name.startswith("mapping."):
            continue
        source = state[name]
        if target.shape == source.shape:
            target.copy_(source)
            continue
        corner = tuple(slice(size) for size in source.shape)
        if target.ndim == 4:  # a convolution: no output listens to new inputs
            target.mul_(source.std() / target.std())
            target[:, source.shape[1] :] = 0.0
            if len(target) == 3:  # ToRGB divides by the root of its inputs' number
                source = source * (target.shape[1] / source.shape[1]) ** 0.5
        target[corner] = source
