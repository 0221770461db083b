# SPDX-License-Identifier: Apache-2.0
"""Stores networks and reads them back: large arrays in float16, as in the embedded bundle."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from effigy.generators.checkpoints import open_checkpoint
from effigy.generators.networks.configs import StyleGAN2Config
from effigy.generators.networks.stylegan2 import StyleGAN2
from effigy.tensor_files import write_tensors

_LARGE = 1024  # numbers: smaller arrays cost little and keep their precision


def save_half(network: nn.Module, path: Path) -> None:
    """Writes the network's state to the safetensors file ``path``."""
    state = network.state_dict()
    half = {k: v.half() if v.is_floating_point() and v.numel() > _LARGE else v for k, v in state.items()}
    write_tensors(path, half)


def read_trainable(path: Path) -> StyleGAN2:
    """Reads the generator of one of our own files without folding constants, as training needs it."""
    with open_checkpoint(path) as checkpoint:
        assert isinstance(checkpoint.config, StyleGAN2Config)
        network = StyleGAN2(checkpoint.config)
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network
