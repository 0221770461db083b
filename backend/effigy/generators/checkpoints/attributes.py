# SPDX-License-Identifier: Apache-2.0
"""What the layers in NVIDIA's files say of themselves besides their weights: it must be what our network computes.

A layer that was made with another filter, activation, gain or size would else be painted wrong without a word.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from ..build import build_network
from ..networks.dense import FullyConnected
from ..networks.operations import SQRT2
from ..networks.stylegan2 import StyleGAN2Config, SynthesisLayer, ToRGB
from ..networks.stylegan3 import Input, Layer, StyleGAN3Config
from .checkpoint import Config
from .configuration import brief
from .errors import ForeignError
from .tensors import TensorFile

_CLOSE = 1e-4  # relative: NumPy's numbers may have been kept in single precision
_LARGEST = 1e30  # integers may be larger than any float
_MOST = 8  # numbers in an attribute


def check_attributes(file: TensorFile, modules: Iterable[tuple[str, dict[str, Any]]], config: Config) -> None:
    """Raises ForeignError unless each attribute of ``modules`` (path, attributes) is what ``config`` makes of it.

    What a module does not say is not asked for: it is what its code base always does.
    """
    expected = dict(_expected(config))
    for path, attributes in modules:
        for name, wanted in expected.get(path, {}).items():
            if name in attributes and not _same(found := _read(file, attributes[name]), wanted):
                place = f"{path}.{name}" if path else name
                raise ForeignError(f"its {place} is {_said(found)}, where Effigy's network has {_said(wanted)}")


def _expected(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """The attributes that matter, of every module, by NVIDIA's names."""
    with torch.device("meta"):
        network = build_network(config)
    yield "", {"c_dim": 0}
    yield "mapping", {"c_dim": 0, "num_layers": config.mapping_layers}
    for path, module in network.named_modules():
        if isinstance(module, FullyConnected):
            activation = "lrelu" if path.startswith("mapping.") else "linear"
            gains = {"weight_gain": module.weight_gain, "bias_gain": module.bias_gain}
            yield path, {"activation": activation, **gains}
        elif isinstance(module, SynthesisLayer):
            sampling = {"up": 2 if module.up else 1, "padding": 1}
            yield path, {"activation": "lrelu", "act_gain": SQRT2, "conv_clamp": config.conv_clamp, **sampling}
        elif isinstance(module, ToRGB):
            yield path, {"weight_gain": module.gain, "conv_clamp": config.conv_clamp}
        elif isinstance(module, Input):
            band = module.band
            yield path, {"bandwidth": band.cutoff, "sampling_rate": band.rate, "size": [band.width, band.size]}
        elif isinstance(module, Layer):
            yield path, _layer(module)
    if isinstance(config, StyleGAN2Config):
        for level in range(len(config.channels)):
            last = {"is_last": level == len(config.channels) - 1}
            yield f"synthesis.b{config.first[0] << level}", {"architecture": "skip", "num_torgb": 1, **last}
    else:
        yield "synthesis", _synthesis(config)


def _synthesis(config: StyleGAN3Config) -> dict[str, Any]:
    names = ("img_resolution", "num_layers", "num_critical", "margin_size", "output_scale")
    return {name: getattr(config, name) for name in names}


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "is_torgb": layer.is_rgb,
        "conv_kernel": layer.weight.shape[2],
        "conv_clamp": layer.clamp,
        "up_factor": layer.up,
        "down_factor": layer.down,
        "in_size": list(layer.size[::-1]),
    }


def _read(file: TensorFile, value: Any) -> Any:
    """An attribute as numbers and lists of them."""
    stored = file.tensor(value)
    if stored is not None and math.prod(stored.shape) <= _MOST:
        return stored.stored().tolist()
    return list(value) if isinstance(value, tuple) else value


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        whole = isinstance(found, list) and len(found) == len(wanted)
        return whole and all(_same(one, other) for one, other in zip(found, wanted, strict=True))
    if isinstance(wanted, str) or wanted is None:
        return found is None if wanted is None else isinstance(found, str) and found == wanted
    return isinstance(found, int | float) and abs(found) < _LARGEST and abs(found - wanted) <= _CLOSE * abs(wanted)


def _said(value: Any) -> str:
    if isinstance(value, list) and len(value) <= _MOST:
        return f"[{', '.join(brief(item) for item in value)}]"
    return brief(value)
