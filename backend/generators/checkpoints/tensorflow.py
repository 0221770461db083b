# SPDX-License-Identifier: Apache-2.0
"""Pickles of NVIDIA's first StyleGAN2, in TensorFlow: a tuple (G, D, Gs) of networks. No TensorFlow is needed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import Tensor

from .checkpoint import Checkpoint
from .networks import read_config, regular, short
from .nvidia import LICENCE
from .tensors import StoredTensor, TensorFile
from .unpickle import MalformedError, Object

_SETTINGS = {  # NVIDIA's names in PyTorch → those in TensorFlow
    "c_dim": "label_size",
    "img_channels": "num_channels",
    "conv_clamp": "conv_clamp",
    "architecture": "architecture",
    "activation": "nonlinearity",
}
_MAPPING_SETTINGS = {"activation": "mapping_nonlinearity", "lr_multiplier": "mapping_lrmul"}
_PARTS = {"weight": "weight", "bias": "bias", "noise_strength": "noise_strength"}
_PARTS |= {"mod_weight": "affine.weight", "mod_bias": "affine.bias"}
_NETWORKS = 20  # in a network; it has two
_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}


def is_tensorflow(root: Any) -> bool:
    return isinstance(root, tuple) and all(isinstance(n, Object) and n.name.endswith(".Network") for n in root)


def read_tensorflow(file: TensorFile, root: Any) -> Checkpoint:
    """The checkpoint in the unpickled tuple ``root``; raises MalformedError."""
    network = root[-1]  # Gs, the running average
    given = dict(_state(network).get("static_kwargs", {}))
    settings: dict[str, Any] = {ours: given[theirs] for ours, theirs in _SETTINGS.items() if theirs in given}
    settings["mapping"] = {ours: given[theirs] for ours, theirs in _MAPPING_SETTINGS.items() if theirs in given}
    if list(given.get("resample_kernel") or [1, 3, 3, 1]) != [1, 3, 3, 1]:
        raise MalformedError("its resampling filter is not [1, 3, 3, 1], the only one that Effigy has")
    tensors: dict[str, Callable[[], Tensor]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, value in _variables(network):
        stored = file.tensor(value)
        if stored is not None and (found := _translate(name, stored)):
            official, shape, tensors[found[0]] = found
            shapes[official] = shape
    config = read_config(settings, shapes)
    return Checkpoint("NVIDIA StyleGAN2 of 2020 (TensorFlow pickle)", config, regular(config, tensors), LICENCE)


def _state(network: Any) -> dict[str, Any]:
    match network:
        case Object(state=dict(state)):
            return state
    raise MalformedError("a network in it has no state")


def _variables(network: Any) -> Iterator[tuple[str, Any]]:
    queue = [("", network)]
    for _ in range(_NETWORKS):
        if not queue:
            return
        prefix, part = queue.pop()
        state = _state(part)
        for name, value in state.get("variables", []):
            yield prefix + short(name), value
        queue += [(f"{prefix}{short(name)}/", child) for name, child in dict(state.get("components", {})).items()]
    raise MalformedError("its networks contain each other")


def _translate(name: str, stored: StoredTensor) -> tuple[str, tuple[int, ...], Callable[[], Tensor]] | None:
    """Official name, shape and reader of a TensorFlow variable; None for one that only training needs."""
    shape, read = stored.shape, stored.read
    if name == "dlatent_avg":
        return "mapping.w_avg", shape, read
    if match := re.fullmatch(r"mapping/Dense(\d+)/(weight|bias)", name):
        official = f"mapping.fc{match[1]}.{match[2]}"
        return official, shape[::-1], partial(_transposed, read)
    if name == "synthesis/4x4/Const/const":
        return "synthesis.b4.const", shape[1:], lambda: read()[0]
    if match := re.fullmatch(r"synthesis/noise(\d{1,2})", name):
        layer = int(match[1])
        official = f"synthesis.b{4 << (layer + 1) // 2}.conv{int(layer % 2 == 0)}.noise_const"
        return official, shape[2:], lambda: read()[0, 0]
    if match := re.fullmatch(r"synthesis/(\d+)x\1/(\w+)/(\w+)", name):
        resolution, layer_name, part = match[1], match[2], match[3]
        if layer_name in _LAYERS and part in _PARTS:
            official = f"synthesis.b{resolution}.{_LAYERS[layer_name]}.{_PARTS[part]}"
            return _part(official, part, layer_name, shape, read)
    return None


def _part(
    official: str, part: str, layer: str, shape: tuple[int, ...], read: Callable[[], Tensor]
) -> tuple[str, tuple[int, ...], Callable[[], Tensor]]:
    if part == "weight":  # height, width, in, out; what upsamples is kept mirrored
        h, w, channels_in, channels_out = shape
        flipped = (0, 1) if layer == "Conv0_up" else ()
        return official, (channels_out, channels_in, h, w), lambda: read().flip(flipped).permute(3, 2, 0, 1)
    if part == "mod_weight":
        return official, shape[::-1], partial(_transposed, read)
    if part == "mod_bias":
        return official, shape, lambda: read() + 1
    return official, (() if math.prod(shape) == 1 and part == "noise_strength" else shape), read


def _transposed(read: Callable[[], Tensor]) -> Tensor:
    tensor = read()
    return tensor.T if tensor.ndim == 2 else tensor
