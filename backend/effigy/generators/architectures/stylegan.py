# SPDX-License-Identifier: Apache-2.0
"""What files of StyleGAN2 and StyleGAN3 have in common: a mapping network, planes, a mean of w."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import ForeignError, MalformedError
from ..networks.dense import FullyConnected
from ..networks.dense import Mapping as MappingNetwork
from ..networks.network import Network
from ..networks.stylegan import StyleGANConfig
from ..planes import RGB, planes_of_count
from ..registry import Architecture, Attributes
from ..settings import brief, plain
from ..weights import Shapes, Tensors, Weight

HAS = "Effigy has StyleGAN2 (skip) and StyleGAN3, unconditional"
_AVERAGED = 10_000  # random latents, where a file has no average of its own
_TOGETHER = 250  # of them at a time: as many rows of 8192 numbers are all that a small file may cost


class StyleGANArchitecture(Architecture):
    """The part that StyleGAN2 and StyleGAN3 share."""

    def describe(self, config: Any) -> dict[str, Any]:
        return {"mapping layers": config.mapping_layers}

    def complete(self, config: Any, tensors: dict[str, Weight]) -> list[str]:
        if "mapping.w_avg" in tensors:
            return []
        tensors["mapping.w_avg"] = Weight((config.w_dim,), partial(_average, config, dict(tensors)))
        return [f"it holds no mean of w: that of {_AVERAGED} random latents takes its place"]

    def attributes(self, network: Network) -> Attributes:
        yield "", {"c_dim": 0}
        yield "mapping", {"c_dim": 0, "num_layers": network.config.mapping_layers}
        for path, module in network.named_modules():
            if isinstance(module, FullyConnected):
                activation = "lrelu" if path.startswith("mapping.") else "linear"
                yield (
                    path,
                    {"activation": activation, "weight_gain": module.weight_gain, "bias_gain": module.bias_gain},
                )


def heights_and_channels(layers: Iterable[tuple[int, int]]) -> str:
    """Describes height and channels of each layer or block, from the first to the picture, for people."""
    return ", ".join(f"{height}: {channels}" for height, channels in layers)


def common_settings(settings: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    """Returns the fields that both configurations have. Raises ForeignError for an unsupported variant."""
    mapping = plain(dict(settings.get("mapping", {})))
    settings = plain(settings)
    _refuse_variants(settings, mapping)
    layers = _count(r"mapping\.fc(\d{1,4})\.weight", shapes)
    if not layers or any(len(shapes.get(f"mapping.fc{i}.weight", ())) != 2 for i in range(layers)):
        raise ForeignError("its mapping network is not of dense layers fc0, fc1 …: " + HAS)
    w_dim, z_dim = shapes[f"mapping.fc{layers - 1}.weight"][0], shapes["mapping.fc0.weight"][1]
    hidden = {shapes[f"mapping.fc{i}.weight"][0] for i in range(layers)}
    if hidden != {w_dim}:
        widths = ", ".join(map(str, sorted(hidden)))
        raise ForeignError(f"its mapping network's layers are {widths} wide where w is {w_dim}: Effigy's are as wide")
    clamp = {"conv_clamp": settings["conv_clamp"]} if "conv_clamp" in settings else {}
    return {
        "z_dim": z_dim,
        "w_dim": w_dim,
        "mapping_layers": layers,
        "mapping_lr_multiplier": mapping.get("lr_multiplier", 0.01),
        "planes": _planes(settings, shapes),
        **clamp,
    }


def _refuse_variants(settings: Mapping[str, Any], mapping: Mapping[str, Any]) -> None:
    if settings.get("c_dim"):
        raise ForeignError("its generator is conditional on a label: Effigy has unconditional ones")
    if settings.get("architecture", "skip") != "skip":
        raise ForeignError(f"its architecture is {brief(settings['architecture'])}: Effigy has 'skip', the usual one")
    if {settings.get("activation", "lrelu"), mapping.get("activation", "lrelu")} != {"lrelu"}:
        raise ForeignError("its activation is not 'lrelu', the only one that Effigy has")
    if not mapping.get("normalize_latents", True):
        raise ForeignError("its mapping network does not normalize z, as Effigy's does")


def _planes(settings: Mapping[str, Any], shapes: Shapes) -> tuple[str, ...]:
    """Returns what the channels of the network's pictures are, by the layer that paints them."""
    last = max(
        (name for name in shapes if re.fullmatch(r"synthesis\.(b4\.torgb|L\d{1,4}_\d{1,6}_\d{1,6})\.weight", name)),
        key=lambda name: int((re.search(r"L(\d+)", name) or "00")[1]),
        default=None,
    )
    if last is None or not shapes[last]:
        return RGB  # ``misfit`` then says that this layer is missing
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


def _average(config: StyleGANConfig, tensors: Tensors) -> Tensor:
    """Computes the mean of w, [w_dim], over fixed random latents."""
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
