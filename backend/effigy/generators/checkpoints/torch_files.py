# SPDX-License-Identifier: Apache-2.0
"""Reads files of ``torch.save``: snapshots, whole networks, and state dicts, alone or in encoders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..errors import ForeignError, MalformedError
from ..registry import architectures
from .checkpoint import Checkpoint, Weight
from .configuration import refuse_relatives, regular, short
from .nvidia import LICENCE, read_nvidia
from .rosinality import read_rosinality
from .state_dicts import state_dict_config
from .tensors import TensorFile
from .unpickle import Object

_ENTRIES = 20_000  # of a state dict; an encoder with its generator has some thousand
_AVERAGED = ("g_ema", "G_ema", "params_ema", "ema")  # generators as they are to be used, by their names
_TRAINED = ("g", "G", "generator", "state_dict", "model", "params")
_PREFIX = re.compile(r"(?:(?:module|decoder|generator|netG|g_ema|G_ema|G)\.)*")  # of a generator in a larger network
_ROSINALITY = "input.input"  # which every generator in rosinality's names has
_WRAPPED = ("state_dict", "opts", "latent_avg")
_PARTS = {  # what else is saved so, by the names of its tensors
    r"encoder\..*|input_layer\..*|body\.\d+\..*|styles\.\d+\..*": "an encoder of pictures",
    r"hypernet\..*|refinement_blocks\..*": "a hypernetwork",
    r"final_linear\..*|.*from_rgb.*": "a discriminator",
    r"mapping\.dense\d+\..*|synthesis\.layer\d+\..*": "a generator in genforce's names",
}


def read_torch_file(file: TensorFile, root: Any) -> Checkpoint:
    """Finds the checkpoint in the unpickled ``root``. Raises MalformedError, or ForeignError that says what it is."""
    if _is_network(root) or (isinstance(root, dict) and _is_network(root.get("G_ema"))):
        return read_nvidia(file, root)
    if file.tensor(root) is not None:
        raise ForeignError("it is one tensor, perhaps a latent, and no generator")
    if not isinstance(root, dict):
        raise ForeignError("it holds no network that Effigy knows: save its state_dict()")
    marks = (_ROSINALITY, *(mark for architecture in architectures() for mark in architecture.marks))
    for name, state in _states(root):
        for mark in marks:
            for key in state:
                if isinstance(key, str) and key.endswith(mark) and _PREFIX.fullmatch(key.removesuffix(mark)):
                    prefix = key.removesuffix(mark)
                    return _read_state(file, root, name, {k[len(prefix) :]: state[k] for k in _named(state, prefix)})
    raise ForeignError(_what_it_is(root))


def _is_network(value: Any) -> bool:
    return isinstance(value, Object) and value.name.endswith("._reconstruct_persistent_obj")


def _states(root: dict[Any, Any]) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yields state dicts that may hold a generator, with their names in the file, the most likely first."""
    seen: set[int] = set()  # under many names a dictionary is looked at once
    for name in dict.fromkeys([*(name for name in (*_AVERAGED, *_TRAINED) if name in root), *root]):
        if isinstance(state := root[name], dict) and id(state) not in seen:
            seen.add(id(state))
            yield str(name)[:40], state
    yield "", root


def _named(state: dict[Any, Any], prefix: str) -> Iterator[str]:
    """Returns the names in ``state`` that begin with ``prefix``."""
    if len(state) > _ENTRIES:
        raise MalformedError("it has more tensors than any generator")
    return (key for key in state if isinstance(key, str) and key.startswith(prefix))


def _read_state(file: TensorFile, root: dict[Any, Any], name: str, state: dict[str, Any]) -> Checkpoint:
    remarks: tuple[str, ...] = ()
    if name in ("g", "G"):
        remarks = (f"it holds no running average of its generator: {name!r}, as training left it, takes its place",)
    if not name:
        state = {key: value for key, value in state.items() if key not in _WRAPPED}
    if _ROSINALITY in state:
        return read_rosinality(file, state, root.get("latent_avg"), remarks)
    tensors: dict[str, Weight] = {}
    for key, value in state.items():
        if (stored := file.tensor(value)) is None:
            raise ForeignError(f"its {key[:80]!r} is no tensor")
        tensors[short(key)] = Weight(stored.shape, stored.read)
    refuse_relatives({key: weight.shape for key, weight in tensors.items()})
    config = state_dict_config(tensors)
    kept, more = regular(config, tensors)
    remarks = (*remarks, "it holds no settings: the defaults of NVIDIA's programs are assumed")
    return Checkpoint("NVIDIA state dict (.pt)", config, kept, LICENCE, remarks + more)


def _what_it_is(root: dict[Any, Any]) -> str:
    names = [str(key)[:40] for key in list(root)[:_ENTRIES] if isinstance(key, str)]
    inside = [key for _, state in _states(root) for key in list(state)[:_ENTRIES] if isinstance(key, str)]
    refuse_relatives(dict.fromkeys(inside, ()))
    for pattern, kind in _PARTS.items():
        if any(re.fullmatch(pattern, key[:200]) for key in inside):
            return f"it holds {kind}, and no generator of rosinality's or NVIDIA's: give the generator's file"
    listed = ", ".join(names[:8]) or "nothing"
    return f"it holds no generator in rosinality's or NVIDIA's names, but {listed}: give the generator's file"
