# SPDX-License-Identifier: Apache-2.0
"""``effigy models inspect``: what is in a generator file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ..generators.checkpoints import Config, open_checkpoint
from ..generators.networks.stylegan2 import StyleGAN2Config
from ..generators.networks.stylegan3 import bands


def inspect_generator(path: Path) -> dict[str, Any]:
    """Format, shape, licence note and checksum of ``path``, for what can be loaded; raises GeneratorFileError."""
    with open_checkpoint(path) as checkpoint:
        config = checkpoint.config
        height, width = config.resolution
        values = sum(weight.read().numel() for weight in checkpoint.tensors.values())
        found = {
            "format": checkpoint.format,
            "architecture": "StyleGAN2" if isinstance(config, StyleGAN2Config) else "StyleGAN3",
            "resolution": f"{width} × {height}",
            "z, w": f"{config.z_dim}, {config.w_dim}",
            "mapping layers": config.mapping_layers,
            "rows of w+": config.num_ws,
            "layers": _layers(config),
            "parameters": values,
            "licence": checkpoint.licence,
        }
        if checkpoint.remarks:
            found["remarks"] = "; ".join(checkpoint.remarks)
    with path.open("rb") as file:
        found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _layers(config: Config) -> str:
    """Height and channels of every block (StyleGAN2) or layer (StyleGAN3), from the first to the picture."""
    if isinstance(config, StyleGAN2Config):
        sizes = [(config.first[0] << level, channels) for level, channels in enumerate(config.channels)]
    else:
        sizes = [(band.size, band.channels) for band in bands(config)]
    return ", ".join(f"{height}: {channels}" for height, channels in sizes)
