# SPDX-License-Identifier: Apache-2.0
"""The shape of a network whose tensors were saved without its settings: as far as they tell it."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import torch

from .checkpoint import Config
from .configuration import Shapes, Tensors, read_config
from .errors import ForeignError
from .matching import misfit, skeleton

_CRITICAL = (2, 1, 0, 3)  # critically sampled layers, which filters tell apart; the first is the usual number
_FIRST_RATE = 16  # samples per picture of the first layer, with the usual cutoff
_LAYER = re.compile(r"synthesis\.L(\d{1,2})_(\d{1,5})_(\d{1,5})\.weight")


def state_dict_config(tensors: Tensors) -> Config:
    """The shape of the network with these ``tensors`` under NVIDIA's names; raises ForeignError."""
    shapes = {name: weight.shape for name, weight in tensors.items()}
    if "synthesis.b4.const" in shapes:
        return read_config({}, shapes)
    for square, critical in product((True, False), _CRITICAL):
        settings = _stylegan3(shapes, square=square)
        usual = None if settings is None else _usual({**settings, "num_critical": critical}, tensors, shapes)
        if usual is not None:
            return usual
    raise ForeignError(
        "it holds the tensors of a StyleGAN3 without its settings, which are not the usual ones: "
        "convert the .pkl that they come from, which has them"
    )


def _stylegan3(shapes: Shapes, *, square: bool) -> dict[str, Any] | None:
    """The settings that names and shapes tell, all others being the usual ones; None where they tell nothing."""
    layers = sorted(tuple(map(int, match.groups())) for name in shapes if (match := _LAYER.fullmatch(name)))
    if len(layers) < 3 or [number for number, *_ in layers] != list(range(len(layers))):
        return None
    first, aspect = layers[0], 1 if square else 2
    resolution = layers[-1][1] * aspect
    return {
        "square": square,
        "img_resolution": resolution,
        "num_layers": len(layers) - 1,
        "margin_size": (first[1] * aspect - _FIRST_RATE) // 2,
        "channel_base": layers[-2][2] * resolution,  # that layer's cutoff is half the resolution
        "channel_max": max(channels for _, _, channels in layers),
        "conv_kernel": shapes[f"synthesis.L0_{first[1]}_{first[2]}.weight"][-1],
        "use_radial_filters": len(shapes.get(f"synthesis.L0_{first[1]}_{first[2]}.down_filter", ())) == 2,
    }


def _usual(settings: dict[str, Any], tensors: Tensors, shapes: Shapes) -> Config | None:
    """The network of these settings, if it has just these tensors and designs just these filters."""
    try:
        config = read_config(settings, shapes)
        network = skeleton(config)
    except ValueError:
        return None
    if misfit(network, config, {"mapping.w_avg": (config.w_dim,), **shapes}):
        return None
    filters = {name: value for name, value in network.state_dict().items() if name.endswith("_filter")}
    same = all(torch.allclose(tensors[name].read(), value, atol=1e-5) for name, value in filters.items())
    return config if same else None
