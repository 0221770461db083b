# SPDX-License-Identifier: Apache-2.0
"""``effigy generators inspect``: describes a generator file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ..generators.checkpoints import open_checkpoint
from ..generators.registry import architecture_of


def inspect_generator(path: Path) -> dict[str, Any]:
    """Describes a generator's file: format, shape, licence note and checksum. Raises GeneratorFileError."""
    with open_checkpoint(path) as checkpoint:
        config = checkpoint.config
        architecture = architecture_of(config)
        height, width = config.resolution
        values = sum(weight.read().numel() for weight in checkpoint.tensors.values())
        found = {
            "format": checkpoint.format,
            "architecture": architecture.name,
            "resolution": f"{width} × {height}",
            "planes": ", ".join(config.planes),
            "z, w": f"{config.z_dim}, {config.w_dim}",
            "rows of w+": config.num_ws,
            **architecture.describe(config),
            "parameters": values,
            "licence": checkpoint.licence,
        }
        if checkpoint.remarks:
            found["remarks"] = "; ".join(checkpoint.remarks)
    with path.open("rb") as file:
        found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
