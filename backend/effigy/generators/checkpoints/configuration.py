# SPDX-License-Identifier: Apache-2.0
"""From the settings and tensors of a foreign file to a network's shape, with a reason where we have no such network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from ..networks.dense import Mapping as MappingNetwork
from ..networks.stylegan2 import StyleGAN2Config
from ..networks.stylegan3 import StyleGAN3Config
from ..planes import RGB, planes_of_count
from .checkpoint import Config, Weight
from .errors import ForeignError, MalformedError

Shapes = Mapping[str, tuple[int, ...]]
Tensors = Mapping[str, Weight]
_NAME = 200  # characters
_LARGEST = 2**31  # of a setting
_BINOMIAL = torch.tensor([1.0, 3.0, 3.0, 1.0]).outer(torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64
_AVERAGED = 10_000  # random latents, where a file has no average of its own
_TOGETHER = 250  # of them at a time: as many rows of 8192 numbers are all that a small file may cost
# What a name tells of a network: its kind, of which Effigy has none.
_RELATIVES = {
    r".*/StyleMod/.*|.*ToRGB_lod\d+/.*|g_synthesis\..*": "a StyleGAN of 2019 (AdaIN), or a progressive GAN",
    r"(?:.*\.)?iwt\..*": "a SWAGAN (StyleGAN2 that paints wavelets)",
    r"mapping\.embed_proj\..*": "a StyleGAN-XL, which is conditional on a label",
    r"mapping\.embed\..*": "conditional on a label",
    r"backbone\.synthesis\..*|superresolution\..*": "an EG3D, which paints from a volume",
    r".*\.skip\.weight": "of the architecture 'resnet'",
}
_HAS = "Effigy has StyleGAN2 (skip) and StyleGAN3, unconditional"

C = TypeVar("C", StyleGAN2Config, StyleGAN3Config)


def read_config(settings: Mapping[str, Any], shapes: Shapes) -> Config:
    """The shape of the network whose tensors have ``shapes``; raises ForeignError when it is none of ours."""
    refuse_relatives(shapes)
    mapping = _plain(dict(settings.get("mapping", {})))
    settings = _plain(settings)
    _refuse_variants(settings, mapping, shapes)
    layers = _count(r"mapping\.fc(\d{1,4})\.weight", shapes)
    if not layers or any(len(shapes.get(f"mapping.fc{i}.weight", ())) != 2 for i in range(layers)):
        raise ForeignError("its mapping network is not of dense layers fc0, fc1 …: " + _HAS)
    w_dim, z_dim = shapes[f"mapping.fc{layers - 1}.weight"][0], shapes["mapping.fc0.weight"][1]
    hidden = {shapes[f"mapping.fc{i}.weight"][0] for i in range(layers)}
    if hidden != {w_dim}:
        widths = ", ".join(map(str, sorted(hidden)))
        raise ForeignError(f"its mapping network's layers are {widths} wide where w is {w_dim}: Effigy's are as wide")
    common = {
        "z_dim": z_dim,
        "w_dim": w_dim,
        "mapping_layers": layers,
        "mapping_lr_multiplier": mapping.get("lr_multiplier", 0.01),
        "conv_clamp": settings.get("conv_clamp", None if "synthesis.b4.const" in shapes else 256.0),
        "planes": _planes(settings, shapes),
    }
    if "synthesis.b4.const" in shapes:
        return make_config(StyleGAN2Config, common | _stylegan2(shapes))
    names = get_type_hints(StyleGAN3Config).keys() - common.keys()
    return make_config(StyleGAN3Config, common | {name: settings[name] for name in names if name in settings})


def make_config(kind: type[C], values: Mapping[str, Any]) -> C:
    """The shape with these ``values``, each of its field's type; raises MalformedError for what no network has."""
    hints, given = get_type_hints(kind), dict(values)
    for name, value in given.items():
        if name not in hints:
            raise MalformedError(f"it has a setting {name[:40]!r}, which no such network has")
        if hints[name] is int and isinstance(value, float) and value.is_integer():
            given[name] = int(value)  # as NumPy may have kept it
        if not _fits(hints[name], given[name]):
            raise MalformedError(f"its setting {name} cannot be {brief(value)}")
    try:
        return kind(**given)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise MalformedError(str(error)) from None


def _fits(hint: Any, value: Any) -> bool:
    if hint is int:
        return type(value) is int and abs(value) < _LARGEST
    if hint is bool:
        return type(value) is bool
    if hint is str:
        return type(value) is str and len(value) <= _NAME
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(get_args(hint)[0], item) for item in value)
    if value is None:
        return type(None) in get_args(hint)
    return type(value) in (int, float) and abs(value) < _LARGEST and (hint is float or float in get_args(hint))


def regular(config: Config, tensors: Tensors) -> tuple[dict[str, Weight], tuple[str, ...]]:
    """The tensors that our network keeps, and what was put in the place of optional ones that the file has not.

    Resampling filters are left out, which are always the same. Raises ForeignError for one that is another.
    """
    kept, remarks = dict(tensors), []
    if isinstance(config, StyleGAN2Config):
        for name in [name for name in tensors if name.endswith("resample_filter")]:
            check_filter(name, kept.pop(name))
        if _fill_noise(config, kept):
            remarks.append("it holds no noise: fixed noise of Effigy's own takes its place")
    if "mapping.w_avg" not in kept:
        kept["mapping.w_avg"] = Weight((config.w_dim,), partial(_average, config, dict(kept)))
        remarks.append(f"it holds no mean of w: that of {_AVERAGED} random latents takes its place")
    return kept, tuple(remarks)


def check_filter(name: str, weight: Weight, gain: float = 1.0) -> None:
    """Raises ForeignError unless the resampling filter is the only one that Effigy has."""
    if weight.shape != (4, 4) or not torch.allclose(weight.read(), _BINOMIAL * gain, atol=1e-5):
        raise ForeignError(f"its resampling filter {name} is not [1, 3, 3, 1], the only one that Effigy has")


def _fill_noise(config: StyleGAN2Config, kept: dict[str, Weight]) -> bool:
    """Adds the noise that layers lack; says whether any of it will be seen."""
    lacking = False
    for level in range(len(config.channels)):
        height, width = size = config.first[0] << level, config.first[1] << level
        for conv in ("conv0", "conv1") if level else ("conv1",):
            layer = f"synthesis.b{height}.{conv}"
            if f"{layer}.noise_const" in kept:
                continue
            if f"{layer}.noise_strength" in kept:
                lacking = lacking or bool((kept[f"{layer}.noise_strength"].read() != 0).any())
                fixed = partial(_noise, 2 * level + int(conv == "conv1"), height, width)
                kept[f"{layer}.noise_const"] = Weight(size, fixed)
            elif f"{layer}.weight" in kept:  # made with use_noise=False
                kept[f"{layer}.noise_strength"] = Weight((), partial(torch.zeros, ()))
                kept[f"{layer}.noise_const"] = Weight(size, partial(torch.zeros, size))
    return lacking


def _noise(layer: int, height: int, width: int) -> Tensor:
    """[height, width], the same on every machine."""
    return torch.from_numpy(np.random.RandomState(layer).standard_normal((height, width))).float()


def _average(config: Config, tensors: Tensors) -> Tensor:
    """The mean of w, [w_dim], over fixed random latents."""
    layers = config.mapping_layers
    with torch.device("meta"):
        mapping = MappingNetwork(config.z_dim, config.w_dim, layers, config.mapping_lr_multiplier)
    state = {f"fc{i}.{p}": tensors[f"mapping.fc{i}.{p}"].read() for i in range(layers) for p in ("weight", "bias")}
    mapping.load_state_dict({**state, "w_avg": torch.zeros(config.w_dim)}, assign=True)
    random, total = torch.Generator().manual_seed(0), torch.zeros(config.w_dim, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(_AVERAGED // _TOGETHER):
            total += mapping(torch.randn(_TOGETHER, config.z_dim, generator=random)).sum(dim=0)
    return (total / _AVERAGED).float()


def refuse_relatives(shapes: Shapes) -> None:
    """Raises ForeignError for a network that is like ours, by names of its tensors in its own code base or ours."""
    names = [name for name in shapes if len(name) <= _NAME]  # a pattern's cost may grow as a name's length squared
    for pattern, kind in _RELATIVES.items():
        if any(re.fullmatch(pattern, name) for name in names):
            raise ForeignError(f"its generator is {kind}: {_HAS}")


def _refuse_variants(settings: Mapping[str, Any], mapping: Mapping[str, Any], shapes: Shapes) -> None:
    if "synthesis.b4.const" not in shapes and "synthesis.input.freqs" not in shapes:
        raise ForeignError(f"its generator is neither StyleGAN2 nor StyleGAN3: {_HAS}")
    if settings.get("c_dim"):
        raise ForeignError("its generator is conditional on a label: Effigy has unconditional ones")
    if settings.get("architecture", "skip") != "skip":
        raise ForeignError(f"its architecture is {brief(settings['architecture'])}: Effigy has 'skip', the usual one")
    if {settings.get("activation", "lrelu"), mapping.get("activation", "lrelu")} != {"lrelu"}:
        raise ForeignError("its activation is not 'lrelu', the only one that Effigy has")
    if not mapping.get("normalize_latents", True):
        raise ForeignError("its mapping network does not normalize z, as Effigy's does")


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is no setting: comparing or printing nested values of a hostile file might never end."""
    return {name: value for name, value in settings.items() if isinstance(value, str | int | float | None)}


def brief(value: Any) -> str:
    """``value`` in a few words: numbers may have millions of digits, and containers no end."""
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, bool | float | None) or (isinstance(value, int) and abs(value) < _LARGEST):
        return repr(value)
    return "so large a number" if isinstance(value, int) else f"a {type(value).__name__}"


def short(name: Any) -> str:
    """``name``, which must be one."""
    if not isinstance(name, str) or len(name) > _NAME:
        raise MalformedError("a part of it has no proper name")
    return name


def dictionary(state: Mapping[str, Any], name: str) -> dict[Any, Any]:
    """The attribute ``name`` of a part of a network, which is a dictionary where it is there at all."""
    value = state.get(name)
    if value is not None and not isinstance(value, dict):
        raise MalformedError(f"the {name} of a part of it are none")
    return value or {}


def _stylegan2(shapes: Shapes) -> dict[str, Any]:
    const = shapes["synthesis.b4.const"]
    channels: list[int] = []
    while (weight := shapes.get(f"synthesis.b{4 << len(channels)}.conv1.weight")) is not None and len(weight) == 4:
        channels.append(weight[0])
    if len(const) != 3:
        raise ForeignError("its first block is not a constant [channels, height, width], as StyleGAN2's is")
    return {"channels": tuple(channels), "first": (const[1], const[2])}


def _planes(settings: Mapping[str, Any], shapes: Shapes) -> tuple[str, ...]:
    """What the channels of the network's pictures are, by the layer that paints them."""
    last = max(
        (name for name in shapes if re.fullmatch(r"synthesis\.(b4\.torgb|L\d{1,4}_\d{1,6}_\d{1,6})\.weight", name)),
        key=lambda name: int((re.search(r"L(\d+)", name) or "00")[1]),
        default=None,
    )
    if last is None or not shapes[last]:
        return RGB  # whatever the network is, names that it lacks are told with the others
    painted, said = shapes[last][0], settings.get("img_channels")
    if said is not None and said != painted:
        raise MalformedError(f"its pictures have {painted} channels, and are said to have {brief(said)}")
    try:
        return planes_of_count(painted)
    except ValueError as error:
        raise ForeignError(str(error)) from None


def _count(pattern: str, shapes: Shapes) -> int:
    found = [int(match[1]) for name in shapes if (match := re.fullmatch(pattern, name))]
    return max(found, default=-1) + 1
