# SPDX-License-Identifier: Apache-2.0
"""``effigy generators inspect``: describes a generator file, or a bundle and its generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from effigy_protocol.files import digest

from ..faces import describe_correction, describe_looks, generator_of, is_bundle, load_face_model, resolve_bundle
from ..generators.checkpoints import open_checkpoint
from ..generators.registry import architecture_of


def inspect(name: str) -> dict[str, Any]:
    """Describes what a user means by ``name``: a generator's file, or a bundle, which is loaded as for painting.

    Returns titles → values. Raises GeneratorFileError, or BundleError.
    """
    if not is_bundle(name):
        return inspect_generator(generator_of(name))
    folder = resolve_bundle(name)
    load_face_model(folder, "cpu")  # refuses whatever painting would refuse, in the same words
    found = inspect_generator(generator_of(name))
    return found | {"edits hold": describe_looks(folder), "regressor": describe_correction(folder)}


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
    found["sha256"] = digest(path)
    return found
