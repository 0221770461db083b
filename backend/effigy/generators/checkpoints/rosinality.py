# SPDX-License-Identifier: Apache-2.0
"""Generators of rosinality's stylegan2-pytorch, in its own names, and of the encoders that were built on it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..architectures.stylegan2 import check_filter
from ..errors import ForeignError
from .checkpoint import Checkpoint, Weight
from .configuration import read_config, refuse_relatives, regular
from .tensors import StoredTensor, TensorFile

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
_SETTINGS = {"mapping": {"lr_multiplier": 0.01}}  # fixed in that code base
_KERNEL = re.compile(r"(convs\.\d{1,2}\.conv\.blur|to_rgbs\.\d{1,2}\.upsample)\.kernel")
_KERNEL_GAIN = 4.0  # of their resampling filters, which insert zeros first


def read_rosinality(
    file: TensorFile, state: Mapping[str, Any], average: Any, remarks: tuple[str, ...] = ()
) -> Checkpoint:
    """Makes a checkpoint of a generator's ``state`` and its ``average`` latent, None if the file has none.

    Raises MalformedError or ForeignError.
    """
    refuse_relatives(dict.fromkeys(state, ()))
    tensors: dict[str, Weight] = {}
    for name, value in state.items():
        stored = file.tensor(value)
        if stored is None:
            raise ForeignError(f"its {name[:80]!r} is no tensor")
        if _KERNEL.fullmatch(name):
            check_filter(name, Weight(stored.shape, stored.read), _KERNEL_GAIN)
        elif (official := _official(name)) is None:
            raise ForeignError(f"its generator has a part {name[:80]!r}, which rosinality's StyleGAN2 has not")
        else:
            tensors[official] = _reshaped(official, stored)
    if (mean := file.tensor(average)) is not None and (weight := _mean(mean)) is not None:
        tensors["mapping.w_avg"] = weight
    config = read_config(_SETTINGS, {name: weight.shape for name, weight in tensors.items()})
    kept, more = regular(config, tensors)
    return Checkpoint("rosinality stylegan2-pytorch (.pt)", config, kept, _LICENCE, remarks + more)


def _mean(stored: StoredTensor) -> Weight | None:
    """Returns the mean of w from [w_dim], or from as many equal rows as there are layers; None if the rows differ."""
    if len(stored.shape) == 1:
        return Weight(stored.shape, stored.read)
    rows = stored.read().reshape(-1, stored.shape[-1]) if stored.shape else None
    if rows is None or not len(rows) or not (rows == rows[0]).all():
        return None
    return Weight(rows[0].shape, lambda: rows[0])


def _official(name: str) -> str | None:
    """Returns NVIDIA's name of one of rosinality's tensors; None for one that NVIDIA's networks have not."""
    if match := re.fullmatch(r"style\.(\d{1,2})\.(weight|bias)", name):
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


def _reshaped(official: str, stored: StoredTensor) -> Weight:
    """Removes the dimensions of size one that rosinality keeps around everything."""
    shape = stored.shape
    part = official.rpartition(".")[2]
    if part == "bias":
        shape = (math.prod(shape),)
    elif part == "noise_strength":
        shape = ()
    else:
        shape = shape[{"const": 1, "noise_const": 2}.get(part, int(len(shape) == 5)) :]

    def read() -> Tensor:
        return stored.read().reshape(shape)

    return Weight(shape, read)
