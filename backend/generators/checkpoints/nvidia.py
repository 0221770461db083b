# SPDX-License-Identifier: Apache-2.0
"""Snapshots of NVIDIA's StyleGAN2-ADA and StyleGAN3 code bases and of what grew from them.

A snapshot is a dictionary of networks. Each module in it is a record of its class's name and source text
(never looked at) and of its attributes: parameters, buffers, modules, and the arguments that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from .checkpoint import Checkpoint
from .networks import read_config, regular, short
from .tensors import TensorFile
from .unpickle import MalformedError, Object

LICENCE = (
    "NVIDIA publishes its StyleGAN weights for non-commercial use (NVIDIA Source Code License; faces: FFHQ, "
    "CC BY-NC-SA 4.0). The file itself names no licence: ask where you got it."
)


def read_nvidia(file: TensorFile, root: Any) -> Checkpoint:
    """The checkpoint in a snapshot's unpickled ``root``; raises MalformedError."""
    network = root.get("G_ema") if isinstance(root, dict) else root
    if network is None:
        raise MalformedError("it is a snapshot without G_ema, the generator")
    tensors: dict[str, Callable[[], Tensor]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, value in _tensors(network):
        stored = file.tensor(value)
        if stored is not None:
            tensors[name], shapes[name] = stored.read, stored.shape
    settings = {name: file.number(value) for name, value in _settings(network).items()}
    config = read_config(settings, shapes)
    return Checkpoint("NVIDIA snapshot (pickle)", config, regular(config, tensors), LICENCE)


def _record(module: Any) -> dict[str, Any]:
    """A module's attributes."""
    match module:
        case Object(name="torch_utils.persistence._reconstruct_persistent_obj", args=({"state": dict(state)},)):
            return state
    raise MalformedError("a network in it is not stored as NVIDIA's programs do")


def _tensors(network: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of all parameters and buffers. No module may stand in two places: that could take for ever."""
    queue, seen = [("", network)], set()
    while queue:
        prefix, module = queue.pop()
        if id(module) in seen:
            raise MalformedError("its modules contain each other")
        seen.add(id(module))
        state = _record(module)
        for kind in ("_parameters", "_buffers"):
            for name, value in dict(state.get(kind, {})).items():
                yield prefix + short(name), value
        for name, child in dict(state.get("_modules", {})).items():
            if child is not None:
                queue.append((f"{prefix}{short(name)}.", child))


def _settings(network: Any) -> dict[str, Any]:
    """What the network was made with: its arguments, overruled by what its layers then had."""
    state = _record(network)
    given = dict(state.get("_init_kwargs", {}))
    mapping = _child(state, "mapping")
    synthesis = _child(state, "synthesis")
    settings = {**given, **dict(given.get("synthesis_kwargs", {})), **dict(synthesis.get("_init_kwargs", {}))}
    settings["mapping"] = {**dict(given.get("mapping_kwargs", {})), **dict(mapping.get("_init_kwargs", {}))}
    # Defaults differ between NVIDIA's code bases, so what the layers keep decides.
    dense = _child(mapping, "fc0")
    if "bias_gain" in dense:
        settings["mapping"]["lr_multiplier"] = dense["bias_gain"]
    names = synthesis.get("layer_names")
    first = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
    for layer in (_child(_child(synthesis, "b4"), "conv1"), _child(synthesis, first)):
        settings |= {name: layer[name] for name in ("conv_clamp", "activation") if name in layer}
    return settings


def _child(state: dict[str, Any], name: str) -> dict[str, Any]:
    """The attributes of a module's part, none if it has no such part."""
    module = dict(state.get("_modules", {})).get(name)
    return {} if module is None else _record(module)
