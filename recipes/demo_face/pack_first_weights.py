# SPDX-License-Identifier: Apache-2.0
"""Packs the demo face's first trained weights (numpy archives) into the embedded bundle's safetensors files.

    python recipes/demo_face/pack_first_weights.py WEIGHTS_FOLDER backend/models/default.effigy

``WEIGHTS_FOLDER`` holds ``demo128.npz`` (official StyleGAN2 names under ``state/``) and ``detector128.npz``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from half_weights import save_half

from backend.generators.load import save_generator
from backend.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from backend.landmarks.embedded import LandmarkNetwork

# The trial's detector had terse names; ours say what a layer does.
DETECTOR_NAMES = [
    ("s1.", "stem."),
    ("s2.", "quarter.0."),
    ("r2.0.", "quarter.1."),
    ("s3.", "eighth.0."),
    ("r3.0.", "eighth.1."),
    ("r3.1.", "eighth.2."),
    ("s4.", "sixteenth.0."),
    ("r4.0.", "sixteenth.1."),
    ("r4.1.", "sixteenth.2."),
    ("g.", "context."),
    ("l4.", "up8."),
    ("l3.", "up4."),
    ("m.", "merge."),
    ("h.", "heat."),
]


def read_generator(path: Path) -> StyleGAN2:
    """The generator in ``path``; filters are part of our network, so the file's copies are left out."""
    archive = np.load(path)
    kwargs = json.loads(bytes(archive["init_kwargs"]))
    config = StyleGAN2Config(
        z_dim=kwargs["z_dim"],
        w_dim=kwargs["w_dim"],
        channels=tuple(kwargs["channels"][key] for key in sorted(kwargs["channels"], key=int)),
        mapping_layers=kwargs["mapping_kwargs"]["num_layers"],
    )
    network = StyleGAN2(config)
    names = [name for name in archive.files if name.startswith("state/") and "resample_filter" not in name]
    network.load_state_dict({name[6:]: torch.from_numpy(archive[name]).float() for name in names})
    return network


def read_detector(path: Path) -> LandmarkNetwork:
    """The detector in ``path`` under our names."""
    archive = np.load(path)
    network = LandmarkNetwork()
    network.load_state_dict({rename(name): torch.from_numpy(archive[name]) for name in archive.files})
    return network


def rename(name: str) -> str:
    old, new = next(pair for pair in DETECTOR_NAMES if name.startswith(pair[0]))
    return new + name[len(old) :].replace("a.", "conv0.").replace("b.", "conv1.")


def main(weights: Path, bundle: Path) -> None:
    bundle.mkdir(parents=True, exist_ok=True)
    save_generator(read_generator(weights / "demo128.npz"), bundle / "generator.safetensors")
    save_half(read_detector(weights / "detector128.npz"), bundle / "detector.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
