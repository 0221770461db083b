# SPDX-License-Identifier: Apache-2.0
"""Official networks' weights and pictures, in our networks, and how near two results must be."""

from __future__ import annotations

import torch

from effigy.faces import FIRST_BUNDLE
from effigy.generators.checkpoints.configuration import read_config
from effigy.generators.registry import build_network

from .checkpoint_files import parity

GENERATOR = FIRST_BUNDLE / "generator.safetensors"


def build(name, device="cpu"):
    """Returns our network with an official one's weights, and what the official one computed."""
    kwargs, state, data = parity(name)
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    config = read_config({**kwargs, **kwargs.get("synthesis_kwargs", {}), "mapping": kwargs["mapping_kwargs"]}, shapes)
    network = build_network(config)
    network.load_state_dict({key: value for key, value in state.items() if "resample_filter" not in key})
    if device == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return network.to(device), {key: value.to(device) for key, value in data.items()}


def half_roundings_of(network):
    """Counts two roundings for each convolution: of its input and of its output."""
    return 2 * sum(weight.ndim == 4 for weight in network.parameters())


def assert_same_gradients(made, wanted):
    """Allows one activation of many thousands to round to the other side of zero, where its slope differs."""
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-3 * float(wanted.abs().max()))
