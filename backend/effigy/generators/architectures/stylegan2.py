# SPDX-License-Identifier: Apache-2.0
"""StyleGAN2: how its networks are built, and recognised in files."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ForeignError
from ..networks.configs import StyleGAN2Config
from ..networks.network import Network
from ..networks.operations import SQRT2
from ..networks.stylegan2 import StyleGAN2, SynthesisLayer, ToRGB
from ..registry import Attributes
from ..settings import make_config
from ..weights import Shapes, Weight
from .stylegan import StyleGANArchitecture, common_settings, heights_and_channels

_BINOMIAL = torch.tensor([1.0, 3.0, 3.0, 1.0]).outer(torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64


class StyleGAN2Architecture(StyleGANArchitecture):
    """Karras et al. 2020, of the kind "skip"; also StyleGAN-Human's, whose pictures are not square."""

    key = "stylegan2"
    name = "StyleGAN2"
    config = StyleGAN2Config
    marks = ("synthesis.b4.const",)

    def build(self, config: StyleGAN2Config) -> StyleGAN2:
        return StyleGAN2(config)

    def describe(self, config: StyleGAN2Config) -> dict[str, Any]:
        layers = [(config.first[0] << level, channels) for level, channels in enumerate(config.channels)]
        return super().describe(config) | {"layers": heights_and_channels(layers)}

    def read_config(self, settings: dict[str, Any], shapes: Shapes) -> StyleGAN2Config:
        return make_config(StyleGAN2Config, common_settings(settings, shapes) | _blocks(shapes))

    def complete(self, config: StyleGAN2Config, tensors: dict[str, Weight]) -> list[str]:
        remarks = []
        for name in [name for name in tensors if name.endswith("resample_filter")]:
            check_filter(name, tensors.pop(name))
        if _fill_noise(config, tensors):
            remarks.append("it holds no noise: fixed noise of Effigy's own takes its place")
        return remarks + super().complete(config, tensors)

    def attributes(self, network: Network) -> Attributes:
        yield from super().attributes(network)
        config: StyleGAN2Config = network.config
        for path, module in network.named_modules():
            if isinstance(module, SynthesisLayer):
                sampling = {"up": 2 if module.up else 1, "padding": 1}
                yield path, {"activation": "lrelu", "act_gain": SQRT2, "conv_clamp": config.conv_clamp, **sampling}
            elif isinstance(module, ToRGB):
                yield path, {"weight_gain": module.gain, "conv_clamp": config.conv_clamp}
        for level in range(len(config.channels)):
            last = {"is_last": level == len(config.channels) - 1}
            yield f"synthesis.b{config.first[0] << level}", {"architecture": "skip", "num_torgb": 1, **last}


def check_filter(name: str, weight: Weight, gain: float = 1.0) -> None:
    """Raises ForeignError unless the resampling filter is the one that Effigy supports."""
    if weight.shape != (4, 4) or not torch.allclose(weight.read(), _BINOMIAL * gain, atol=1e-5):
        raise ForeignError(f"its resampling filter {name} is not [1, 3, 3, 1], the only one that Effigy has")


def _blocks(shapes: Shapes) -> dict[str, Any]:
    const = shapes["synthesis.b4.const"]
    channels: list[int] = []
    while (weight := shapes.get(f"synthesis.b{4 << len(channels)}.conv1.weight")) is not None and len(weight) == 4:
        channels.append(weight[0])
    if len(const) != 3:
        raise ForeignError("its first block is not a constant [channels, height, width], as StyleGAN2's is")
    return {"channels": tuple(channels), "first": (const[1], const[2])}


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
    """Draws noise [height, width], the same on every machine."""
    return torch.from_numpy(np.random.RandomState(layer).standard_normal((height, width))).float()
