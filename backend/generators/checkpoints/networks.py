# SPDX-License-Identifier: Apache-2.0
"""From the settings and tensors of a foreign file to a network's shape, with a reason where we have no such network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..stylegan2 import StyleGAN2Config
from ..stylegan3 import StyleGAN3Config
from .checkpoint import Config
from .unpickle import MalformedError

Shapes = Mapping[str, tuple[int, ...]]
_NAME = 200  # characters
_BINOMIAL = torch.tensor([1.0, 3.0, 3.0, 1.0]).outer(torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64


def read_config(settings: Mapping[str, Any], shapes: Shapes) -> Config:
    """The shape of the network whose tensors have ``shapes``; raises MalformedError when it is none of ours."""
    mapping = _plain(dict(settings.get("mapping", {})))
    settings = _plain(settings)
    _refuse_variants(settings, mapping, shapes)
    layers = _count(r"mapping\.fc(\d+)\.weight", shapes)
    w_dim, z_dim = shapes["mapping.fc0.weight"] if layers else (0, 0)
    common = {
        "z_dim": z_dim,
        "w_dim": w_dim if layers == 1 else shapes[f"mapping.fc{layers - 1}.weight"][0],
        "mapping_layers": layers,
        "mapping_lr_multiplier": float(mapping.get("lr_multiplier", 0.01)),
        "conv_clamp": settings.get("conv_clamp", None if "synthesis.b4.const" in shapes else 256),
    }
    return _stylegan2(common, shapes) if "synthesis.b4.const" in shapes else _stylegan3(common, settings, shapes)


def regular(config: Config, tensors: dict[str, Callable[[], Tensor]]) -> dict[str, Callable[[], Tensor]]:
    """The tensors that our network keeps: without the resampling filters, which are always the same."""
    if isinstance(config, StyleGAN3Config):
        return tensors
    kept = {name: read for name, read in tensors.items() if not name.endswith("resample_filter")}
    for name in tensors.keys() - kept.keys():
        if tensors[name]().shape != (4, 4) or not torch.allclose(tensors[name](), _BINOMIAL, atol=1e-5):
            raise MalformedError(f"its resampling filter {name} is not [1, 3, 3, 1], the only one that Effigy has")
    if any(name.endswith(("noise_strength", "noise_const")) for name in kept):
        return kept
    for level in range(len(config.channels)):  # made with use_noise=False
        size = (config.first[0] << level, config.first[1] << level)
        for conv in ("conv0", "conv1") if level else ("conv1",):
            layer = f"synthesis.b{size[0]}.{conv}"
            kept[f"{layer}.noise_strength"] = partial(torch.zeros, ())
            kept[f"{layer}.noise_const"] = partial(torch.zeros, size)
    return kept


def _refuse_variants(settings: Mapping[str, Any], mapping: Mapping[str, Any], shapes: Shapes) -> None:
    if "synthesis.b4.const" not in shapes and "synthesis.input.freqs" not in shapes:
        raise MalformedError("its generator is neither StyleGAN2 nor StyleGAN3")
    if settings.get("c_dim") or "mapping.embed.weight" in shapes:
        raise MalformedError("its generator is conditional on a label: Effigy has unconditional ones")
    if settings.get("img_channels", 3) != 3:
        raise MalformedError(f"its pictures have {settings['img_channels']} channels: Effigy paints RGB")
    if settings.get("architecture", "skip") != "skip" or any(".skip.weight" in name for name in shapes):
        raise MalformedError(f"its architecture is {settings.get('architecture')!r}: Effigy has 'skip', the usual one")
    if {settings.get("activation", "lrelu"), mapping.get("activation", "lrelu")} != {"lrelu"}:
        raise MalformedError("its activation is not 'lrelu', the only one that Effigy has")


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is no setting: comparing or printing nested values of a hostile file might never end."""
    return {name: value for name, value in settings.items() if isinstance(value, str | int | float | None)}


def short(name: Any) -> str:
    """``name``, which must be one."""
    if not isinstance(name, str) or len(name) > _NAME:
        raise MalformedError("a part of it has no proper name")
    return name


def _stylegan2(common: dict[str, Any], shapes: Shapes) -> StyleGAN2Config:
    const = shapes["synthesis.b4.const"]
    channels: list[int] = []
    while (name := f"synthesis.b{4 << len(channels)}.conv1.weight") in shapes:
        channels.append(shapes[name][0])
    return StyleGAN2Config(channels=tuple(channels), first=(const[1], const[2]), **common)


def _stylegan3(common: dict[str, Any], settings: Mapping[str, Any], shapes: Shapes) -> StyleGAN3Config:
    names = {field.name for field in fields(StyleGAN3Config)} - common.keys()
    return StyleGAN3Config(**{name: settings[name] for name in names if name in settings}, **common)


def _count(pattern: str, shapes: Shapes) -> int:
    found = [int(match[1]) for name in shapes if (match := re.fullmatch(pattern, name))]
    return max(found, default=-1) + 1
