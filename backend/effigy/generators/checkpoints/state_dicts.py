# SPDX-License-Identifier: Apache-2.0
"""Infers a network's configuration from tensors that were saved without settings, as far as they determine it."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import ForeignError
from ..registry import Architecture, recognise
from ..weights import Shapes, Tensors
from .checkpoint import Config
from .configuration import read_config
from .matching import misfit, skeleton


def state_dict_config(tensors: Tensors) -> Config:
    """Infers a network's settings from its ``tensors`` under NVIDIA's names. Raises ForeignError."""
    shapes = {name: weight.shape for name, weight in tensors.items()}
    architecture = recognise(shapes)
    if architecture is None:
        return read_config({}, shapes)  # which says why
    guesses = list(architecture.guesses(shapes))
    if guesses == [{}]:  # the tensors tell everything
        return read_config({}, shapes)
    for settings in guesses:
        if (config := _config(architecture, settings, tensors, shapes)) is not None:
            return config
    raise ForeignError(
        f"it holds the tensors of a {architecture.name} without its settings, which are not the usual ones: "
        "convert the .pkl that they come from, which has them"
    )


def _config(architecture: Architecture, settings: dict[str, Any], tensors: Tensors, shapes: Shapes) -> Config | None:
    """Returns the settings' network, if it has exactly these tensors and computes exactly these buffers."""
    try:
        config = read_config(settings, shapes)
        network = skeleton(config)
    except ValueError:
        return None
    if misfit(network, config, {"mapping.w_avg": (config.w_dim,), **shapes}):
        return None
    designed = architecture.designed(network)
    same = all(torch.allclose(tensors[name].read(), value, atol=1e-5) for name, value in designed.items())
    return config if same else None
