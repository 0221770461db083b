# SPDX-License-Identifier: Apache-2.0
"""Pickles of NVIDIA's first StyleGAN2, in TensorFlow: a tuple (G, D, Gs) of networks. No TensorFlow is needed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from ..errors import ForeignError, MalformedError
from .checkpoint import Checkpoint, Weight
from .configuration import dictionary, read_config, refuse_relatives, regular, short
from .nvidia import LICENCE
from .tensors import StoredTensor, TensorFile
from .unpickle import Object

_SETTINGS = {  # NVIDIA's names in PyTorch → those in TensorFlow
    "c_dim": "label_size",
    "img_channels": "num_channels",
    "conv_clamp": "conv_clamp",
    "architecture": "architecture",
    "activation": "nonlinearity",
}
_MAPPING_SETTINGS = {
    "activation": "mapping_nonlinearity",
    "lr_multiplier": "mapping_lrmul",
    "normalize_latents": "normalize_latents",
}
_PARTS = {"weight": "weight", "bias": "bias", "noise_strength": "noise_strength"}
_PARTS |= {"mod_weight": "affine.weight", "mod_bias": "affine.bias"}
_NETWORKS = 40  # networks and lists of variables in a network; a generator has two of each besides its own
_VARIABLES = 20_000  # a generator has some hundreds
_TRAINING = ("lod", "pl_mean")  # variables that painting does not need
_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}


def is_tensorflow(root: Any) -> bool:
    return isinstance(root, tuple) and all(isinstance(n, Object) and n.name.endswith(".Network") for n in root)


def read_tensorflow(file: TensorFile, root: Any) -> Checkpoint:
    """Finds the checkpoint in the unpickled tuple ``root``. Raises MalformedError or ForeignError."""
    network = root[-1]  # Gs, the running average
    variables = [(name, file.tensor(value)) for name, value in _variables(network)]
    refuse_relatives({name: () for name, _ in variables})
    tensors: dict[str, Weight] = {}
    for name, stored in variables:
        if stored is not None and (found := _translate(name, stored)):
            tensors[found[0]] = found[1]
    config = read_config(_settings(file, network), {name: weight.shape for name, weight in tensors.items()})
    kept, remarks = regular(config, tensors)
    return Checkpoint("NVIDIA StyleGAN2 of 2020 (TensorFlow pickle)", config, kept, LICENCE, remarks)


def _settings(file: TensorFile, network: Any) -> dict[str, Any]:
    """Returns the arguments that the network and its two parts were made with."""
    given: dict[str, Any] = {}
    for part in (network, *dictionary(_state(network), "components").values()):
        given |= {name: file.number(value) for name, value in dictionary(_state(part), "static_kwargs").items()}
    kernel = given.get("resample_kernel") or [1, 3, 3, 1]
    if not isinstance(kernel, list | tuple) or list(kernel) != [1, 3, 3, 1]:
        raise ForeignError("its resampling filter is not [1, 3, 3, 1], the only one that Effigy has")
    settings: dict[str, Any] = {ours: given[theirs] for ours, theirs in _SETTINGS.items() if theirs in given}
    settings["mapping"] = {ours: given[theirs] for ours, theirs in _MAPPING_SETTINGS.items() if theirs in given}
    return settings


def _state(network: Any) -> dict[str, Any]:
    match network:
        case Object(state=dict(state)):
            return state
    raise MalformedError("a network in it has no state")


def _variables(network: Any) -> Iterator[tuple[str, Any]]:
    """Yields names and values of the variables of the network and its parts.

    Raises MalformedError where a part stands in two places: going through all might never end.
    """
    queue, count = [("", network)], 0
    seen: set[int] = set()
    while queue:
        prefix, part = queue.pop()
        state = _state(part)
        variables = state.get("variables")
        if id(part) in seen or id(variables) in seen:
            raise MalformedError("its networks contain each other, or share what they contain")
        seen |= {id(part), id(variables)} if variables else {id(part)}
        for pair in variables if isinstance(variables, list) else ():
            count += 1
            if count > _VARIABLES or not isinstance(pair, tuple) or len(pair) != 2:
                raise MalformedError("a network in it has variables without names, or more than any generator has")
            yield short(prefix + short(pair[0])), pair[1]
        components = dictionary(state, "components")
        if len(seen) + len(components) > _NETWORKS:
            raise MalformedError("it has more networks than any generator")
        queue += [(short(f"{prefix}{short(name)}/"), child) for name, child in components.items()]


def _translate(name: str, stored: StoredTensor) -> tuple[str, Weight] | None:
    """Returns the official name and the tensor of a TensorFlow variable; None for one that only training needs."""
    shape, read = stored.shape, stored.read
    if name == "dlatent_avg":
        return "mapping.w_avg", Weight(shape, read)
    if match := re.fullmatch(r"mapping/Dense(\d{1,2})/(weight|bias)", name):
        return f"mapping.fc{match[1]}.{match[2]}", Weight(shape[::-1], lambda: _transposed(read()))
    if name == "synthesis/4x4/Const/const":
        return "synthesis.b4.const", Weight(shape[1:], lambda: read()[0])
    if match := re.fullmatch(r"synthesis/noise(\d{1,2})", name):
        layer = int(match[1])
        official = f"synthesis.b{4 << (layer + 1) // 2}.conv{int(layer % 2 == 0)}.noise_const"
        return official, Weight(shape[2:], lambda: read()[0, 0])
    if match := re.fullmatch(r"synthesis/(\d{1,5})x\1/(\w+)/(\w+)", name):
        resolution, layer_name, part = match[1], match[2], match[3]
        if layer_name in _LAYERS and part in _PARTS:
            return f"synthesis.b{resolution}.{_LAYERS[layer_name]}.{_PARTS[part]}", _part(part, layer_name, stored)
    if name.rpartition("/")[2] in _TRAINING:
        return None
    raise ForeignError(f"its generator has a part {name!r}, which NVIDIA's StyleGAN2 has not")


def _part(part: str, layer: str, stored: StoredTensor) -> Weight:
    shape, read = stored.shape, stored.read
    if part == "weight":  # height, width, in, out; what upsamples is kept mirrored
        if len(shape) != 4:
            raise MalformedError(f"a convolution in it has weights {list(shape)}")
        h, w, channels_in, channels_out = shape
        flipped = (0, 1) if layer == "Conv0_up" else ()
        return Weight((channels_out, channels_in, h, w), lambda: read().flip(flipped).permute(3, 2, 0, 1))
    if part == "mod_weight":
        return Weight(shape[::-1], lambda: _transposed(read()))
    if part == "mod_bias":
        return Weight(shape, lambda: read() + 1)
    if part == "noise_strength" and math.prod(shape) == 1:
        return Weight((), lambda: read().reshape(()))
    return Weight(shape, read)


def _transposed(tensor: Tensor) -> Tensor:
    return tensor.T if tensor.ndim == 2 else tensor
