# SPDX-License-Identifier: Apache-2.0
"""Stores networks and reads them back: large arrays in float16, as in the embedded bundle."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from effigy.generators import GeneratorFileError, load_trainable
from effigy.generators.networks.stylegan2 import StyleGAN2
from effigy.tensor_files import write_tensors

_LARGE = 1024  # numbers: smaller arrays cost little and keep their precision


def save_half(network: nn.Module, path: Path) -> None:
    """Writes the network's state to the safetensors file ``path``."""
    state = network.state_dict()
    half = {k: v.half() if v.is_floating_point() and v.numel() > _LARGE else v for k, v in state.items()}
    write_tensors(path, half)


def read_trainable(path: Path) -> StyleGAN2:
    """Reads a StyleGAN2, not frozen, as training needs it. Raises GeneratorFileError, also for another architecture."""
    network = load_trainable(path)
    if not isinstance(network, StyleGAN2):
        raise GeneratorFileError(
            f"{path} is a {type(network).__name__}: give a StyleGAN2, as this recipe's train writes"
        )
    return network
