# SPDX-License-Identifier: Apache-2.0
"""Snapshots of NVIDIA's StyleGAN2-ADA and StyleGAN3 code bases and of what grew from them.

A snapshot is a dictionary of networks, or one network. Each module in it is a record of its class's name and source
text (never looked at) and of its attributes: parameters, buffers, modules, and the arguments that made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import ForeignError, MalformedError
from .attributes import check_attributes
from .checkpoint import Checkpoint, Weight
from .configuration import dictionary, read_config, regular, short
from .tensors import TensorFile
from .unpickle import Object

LICENCE = (
    "NVIDIA publishes its StyleGAN weights for non-commercial use (NVIDIA Source Code License; faces: FFHQ, "
    "CC BY-NC-SA 4.0). The file itself names no licence: ask where you got it."
)
_ENTRIES = 20_000  # modules, parameters and buffers; a generator has some hundreds


def read_nvidia(file: TensorFile, root: Any) -> Checkpoint:
    """Finds the checkpoint in a snapshot's unpickled ``root``. Raises MalformedError or ForeignError."""
    network = root.get("G_ema") if isinstance(root, dict) else root
    if network is None:
        raise ForeignError("it holds no G_ema, the generator of NVIDIA's snapshots: give one that does")
    tensors = {}
    for name, value in _tensors(network):
        stored = file.tensor(value)
        if stored is not None:
            tensors[name] = Weight(stored.shape, stored.read)
    for path, state in _modules(network):
        if state.get("use_noise") is False:  # switched off after training, too: the layer then paints without
            for name in ("noise_const", "noise_strength"):
                tensors.pop(f"{path}.{name}", None)
    settings = _settings(network)
    mapping = {name: file.number(value) for name, value in settings.pop("mapping").items()}
    numbers = {name: file.number(value) for name, value in settings.items()}
    config = read_config({**numbers, "mapping": mapping}, {name: weight.shape for name, weight in tensors.items()})
    check_attributes(file, _modules(network), config)
    kept, remarks = regular(config, tensors)
    return Checkpoint("NVIDIA snapshot (pickle)", config, kept, LICENCE, remarks)


def _record(module: Any) -> dict[str, Any]:
    """Returns a module's attributes."""
    match module:
        case Object(name="torch_utils.persistence._reconstruct_persistent_obj", args=({"state": dict(state)},)):
            return state
        case Object(name=name, state=dict(state)) if name.startswith("torch.nn."):
            return state
    raise ForeignError("a network in it is not stored as NVIDIA's programs do: save its state_dict() instead")


def _modules(network: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields paths and attributes of all modules.

    Raises MalformedError where one stands in two places: going through all might never end.
    """
    queue, entries = [("", network)], 0
    seen: set[int] = set()
    while queue:
        path, module = queue.pop()
        state = _record(module)
        parts = [dictionary(state, kind) for kind in ("_parameters", "_buffers", "_modules")]
        if {id(module), *map(id, parts)} & seen:
            raise MalformedError("its modules contain each other, or share what they contain")
        seen |= {id(module), *(id(part) for part in parts if part)}
        entries += 1 + sum(map(len, parts))
        if entries > _ENTRIES:
            raise MalformedError("it has more modules and tensors than any generator")
        yield path, state
        for name, child in parts[2].items():
            if child is not None:
                queue.append((short(f"{path}.{short(name)}" if path else short(name)), child))


def _tensors(network: Any) -> Iterator[tuple[str, Any]]:
    """Yields names and values of all parameters and buffers."""
    for path, state in _modules(network):
        for kind in ("_parameters", "_buffers"):
            for name, value in dictionary(state, kind).items():
                yield short(f"{path}.{short(name)}" if path else short(name)), value


def _settings(network: Any) -> dict[str, Any]:
    """Returns the arguments that the network was made with; where its layers keep other values, those."""
    state = _record(network)
    given = dictionary(state, "_init_kwargs")
    mapping = _child(state, "mapping")
    synthesis = _child(state, "synthesis")
    settings = {**given, **dictionary(given, "synthesis_kwargs"), **dictionary(synthesis, "_init_kwargs")}
    settings["mapping"] = {**dictionary(given, "mapping_kwargs"), **dictionary(mapping, "_init_kwargs")}
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
    """Returns the attributes of a module's part, or {} if it has no such part."""
    module = dictionary(state, "_modules").get(name)
    return {} if module is None else _record(module)
