# SPDX-License-Identifier: Apache-2.0
"""``effigy models inspect``: what is in a generator file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ..generators.checkpoints import open_checkpoint
from ..generators.stylegan2 import StyleGAN2Config


def inspect_generator(path: Path) -> dict[str, Any]:
    """Format, shape, licence note and checksum of ``path``; raises GeneratorFileError."""
    with open_checkpoint(path) as checkpoint:
        config = checkpoint.config
        height, width = config.resolution
        values = sum(read().numel() for read in checkpoint.tensors.values())
        found = {
            "format": checkpoint.format,
            "architecture": "StyleGAN2" if isinstance(config, StyleGAN2Config) else "StyleGAN3",
            "resolution": f"{width} × {height}",
            "z, w": f"{config.z_dim}, {config.w_dim}",
            "layers": f"{config.mapping_layers} of mapping, {config.num_ws} rows of w+",
            "parameters": values,
            "licence": checkpoint.licence,
        }
    with path.open("rb") as file:
        found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
