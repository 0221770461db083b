# SPDX-License-Identifier: Apache-2.0
"""How the recipes store networks and read them back: large arrays in float16, as the embedded bundle has them."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from effigy.generators.checkpoints import open_checkpoint
from effigy.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from effigy.tensor_files import write_tensors

_LARGE = 1024  # numbers: what is smaller costs nothing and keeps its precision


def save_half(network: nn.Module, path: Path) -> None:
    """Writes the network's state to the safetensors file ``path``."""
    state = network.state_dict()
    half = {k: v.half() if v.is_floating_point() and v.numel() > _LARGE else v for k, v in state.items()}
    write_tensors(path, half)


def read_trainable(path: Path) -> StyleGAN2:
    """The generator in one of our own files with its constants not folded, as training needs it."""
    with open_checkpoint(path) as checkpoint:
        assert isinstance(checkpoint.config, StyleGAN2Config)
        network = StyleGAN2(checkpoint.config)
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network
