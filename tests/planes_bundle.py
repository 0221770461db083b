# SPDX-License-Identifier: Apache-2.0
"""A shipped face model with five planes more: the same colours, and an alpha, normals and a depth of no meaning."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

PLANES = ("red", "green", "blue", "alpha", "normal_x", "normal_y", "normal_z", "depth")
DEPTH = {"scale": 1.75, "offset": -0.5}


def write_planes_bundle(source: Path, folder: Path) -> Path:
    """A copy of the bundle ``source`` in ``folder``, whose generator paints PLANES."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("paper*", "judge*", "report"))
    generator, header = folder / "generator.safetensors", json.loads((folder / "model.json").read_text("utf-8"))
    with safe_open(generator, "pt") as file:
        metadata = file.metadata()
    tensors, random = load_file(generator), torch.Generator().manual_seed(3)
    for name in [name for name in tensors if ".torgb." in name and ".affine." not in name]:
        colours = tensors[name].float()
        more = torch.randn(5, *colours.shape[1:], generator=random)
        # Ten times as strong as colours, so that an alpha is often 0 or 1, and also everything between.
        more *= 10 * colours.std() if name.endswith("weight") else 0.1
        tensors[name] = torch.cat([colours, more]).to(tensors[name].dtype)
    config = json.loads(metadata["stylegan2"]) | {"planes": PLANES}
    save_file(tensors, generator, metadata | {"stylegan2": json.dumps(config)})
    header["name"], header["depth"] = "Planes", DEPTH
    header["generator"]["sha256"] = hashlib.sha256(generator.read_bytes()).hexdigest()
    (folder / "model.json").write_text(json.dumps(header), "utf-8")
    return folder


if __name__ == "__main__":  # for tests inside Blender, whose Python has no torch: NAME FOLDER
    from effigy.faces import resolve_bundle

    write_planes_bundle(resolve_bundle(sys.argv[1]), Path(sys.argv[2]))
