# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of rosinality's stylegan2-pytorch: ``g_ema`` in its own names, converted or as training wrote it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .checkpoint import Checkpoint
from .networks import read_config, regular
from .tensors import StoredTensor, TensorFile
from .unpickle import MalformedError

_LICENCE = (
    "The file names no licence. Weights converted from NVIDIA's remain under NVIDIA's terms (non-commercial); "
    "others are under their trainer's."
)
_PARTS = {
    "conv.weight": "weight",
    "activate.bias": "bias",
    "bias": "bias",
    "noise.weight": "noise_strength",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
}
_LR_MULTIPLIER = 0.01  # of the mapping, fixed in that code base
_AVERAGED = 10_000  # random latents, where a file has no average of its own
_TOGETHER = 250  # of them at a time: as many rows of 8192 numbers are all that a small file may cost


def read_rosinality(file: TensorFile, root: Any) -> Checkpoint:
    """The checkpoint in a .pt file's unpickled ``root``; raises MalformedError."""
    state = root.get("g_ema") if isinstance(root, dict) else None
    if not isinstance(state, dict):
        raise MalformedError("it holds no g_ema, the generator of rosinality's checkpoints")
    tensors: dict[str, Callable[[], Tensor]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, value in [*state.items(), ("latent_avg", root.get("latent_avg"))]:
        stored = file.tensor(value)
        official = _official(str(name))
        if stored is not None and official:
            tensors[official], shapes[official] = _reshaped(official, stored)
    settings = {"mapping": {"lr_multiplier": _LR_MULTIPLIER}}
    config = read_config(settings, shapes)
    tensors.setdefault("mapping.w_avg", lambda: _average(tensors, config.mapping_layers))
    return Checkpoint("rosinality stylegan2-pytorch (.pt)", config, regular(config, tensors), _LICENCE)


def _official(name: str) -> str | None:
    """NVIDIA's name of one of rosinality's tensors; None for what they do not share."""
    if name == "latent_avg":
        return "mapping.w_avg"
    if match := re.fullmatch(r"style\.(\d+)\.(weight|bias)", name):
        return f"mapping.fc{int(match[1]) - 1}.{match[2]}"
    if name == "input.input":
        return "synthesis.b4.const"
    if match := re.fullmatch(r"noises\.noise_(\d{1,2})", name):
        layer = int(match[1])
        return f"synthesis.b{4 << (layer + 1) // 2}.conv{int(layer % 2 == 0)}.noise_const"
    if match := re.fullmatch(r"(conv1|to_rgb1|convs\.\d{1,2}|to_rgbs\.\d{1,2})\.(.+)", name):
        part = _PARTS.get(match[2])
        kind, _, number = match[1].partition(".")
        index = int(number or 0)
        where = {
            "conv1": "b4.conv1",
            "to_rgb1": "b4.torgb",
            "convs": f"b{8 << index // 2}.conv{index % 2}",
            "to_rgbs": f"b{8 << index}.torgb",
        }[kind]
        return f"synthesis.{where}.{part}" if part else None
    return None


def _reshaped(official: str, stored: StoredTensor) -> tuple[Callable[[], Tensor], tuple[int, ...]]:
    """Without the dimensions of size one that rosinality keeps around everything."""
    shape = stored.shape
    part = official.rpartition(".")[2]
    if part == "bias":
        shape = (math.prod(shape),)
    elif part == "noise_strength":
        shape = ()
    else:
        shape = shape[{"const": 1, "noise_const": 2}.get(part, int(len(shape) == 5)) :]
    return lambda: stored.read().reshape(shape), shape


def _average(tensors: dict[str, Callable[[], Tensor]], layers: int) -> Tensor:
    """The mean of w, where training has not kept it: over fixed random latents."""
    from ..mapping import Mapping

    w_dim, z_dim = tensors["mapping.fc0.weight"]().shape
    with torch.device("meta"):
        mapping = Mapping(z_dim, w_dim, layers, _LR_MULTIPLIER)
    state = {f"fc{i}.{p}": tensors[f"mapping.fc{i}.{p}"]() for i in range(layers) for p in ("weight", "bias")}
    mapping.load_state_dict({**state, "w_avg": torch.zeros(w_dim)}, assign=True)
    random, total = torch.Generator().manual_seed(0), torch.zeros(w_dim, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(_AVERAGED // _TOGETHER):
            total += mapping(torch.randn(_TOGETHER, z_dim, generator=random)).sum(dim=0)
    return (total / _AVERAGED).float()
