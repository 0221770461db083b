# SPDX-License-Identifier: Apache-2.0
"""How the recipes store a network: large arrays in float16, as the embedded bundle has them."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import nn

_LARGE = 1024  # numbers: what is smaller costs nothing and keeps its precision


def save_half(network: nn.Module, path: Path) -> None:
    """Writes the network's state to the safetensors file ``path``."""
    state = network.state_dict()
    half = {k: v.half() if v.is_floating_point() and v.numel() > _LARGE else v for k, v in state.items()}
    save_file({name: value.contiguous() for name, value in half.items()}, path)
