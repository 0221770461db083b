# SPDX-License-Identifier: Apache-2.0
"""StyleGAN3: how its networks are built, and recognised in files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, get_type_hints

from torch import Tensor

from ..networks.configs import StyleGAN3Config
from ..networks.network import Network
from ..networks.stylegan3 import Input, Layer, StyleGAN3, bands
from ..registry import Attributes
from ..settings import make_config, plain
from ..weights import Shapes
from .stylegan import StyleGANArchitecture, common_settings, heights_and_channels

_CRITICAL = (2, 1, 0, 3)  # critically sampled layers, which filters tell apart; the first is the usual number
_FIRST_RATE = 16  # samples per picture of the first layer, with the usual cutoff
_LAYER = re.compile(r"synthesis\.L(\d{1,2})_(\d{1,5})_(\d{1,5})\.weight")


class StyleGAN3Architecture(StyleGANArchitecture):
    """Karras et al. 2021, in both configurations: T and R."""

    key = "stylegan3"
    name = "StyleGAN3"
    config = StyleGAN3Config
    marks = ("synthesis.input.freqs",)

    def build(self, config: StyleGAN3Config) -> StyleGAN3:
        return StyleGAN3(config)

    def describe(self, config: StyleGAN3Config) -> dict[str, Any]:
        layers = [(band.size, band.channels) for band in bands(config)]
        return super().describe(config) | {"layers": heights_and_channels(layers)}

    def read_config(self, settings: dict[str, Any], shapes: Shapes) -> StyleGAN3Config:
        common, given = common_settings(settings, shapes), plain(settings)
        names = get_type_hints(StyleGAN3Config).keys() - common.keys()
        return make_config(StyleGAN3Config, common | {name: given[name] for name in names if name in given})

    def guesses(self, shapes: Shapes) -> Iterator[dict[str, Any]]:
        """Yields the usual settings, completed by what names and shapes of tensors determine: for square and for
        half-wide pictures.
        """
        for square, critical in product((True, False), _CRITICAL):
            settings = _usual(shapes, square=square)
            if settings is not None:
                yield {**settings, "num_critical": critical}

    def designed(self, network: Network) -> dict[str, Tensor]:
        return {name: value for name, value in network.state_dict().items() if name.endswith("_filter")}

    def attributes(self, network: Network) -> Attributes:
        yield from super().attributes(network)
        for path, module in network.named_modules():
            if isinstance(module, Input):
                band = module.band
                yield path, {"bandwidth": band.cutoff, "sampling_rate": band.rate, "size": [band.width, band.size]}
            elif isinstance(module, Layer):
                yield path, _layer(module)
        names = ("img_resolution", "num_layers", "num_critical", "margin_size", "output_scale")
        yield "synthesis", {name: getattr(network.config, name) for name in names}


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "is_torgb": layer.is_rgb,
        "conv_kernel": layer.weight.shape[2],
        "conv_clamp": layer.clamp,
        "up_factor": layer.up,
        "down_factor": layer.down,
        "in_size": list(layer.size[::-1]),
    }


def _usual(shapes: Shapes, *, square: bool) -> dict[str, Any] | None:
    """Infers the settings from names and shapes, with the usual values for all others; None if they do not tell."""
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
