# SPDX-License-Identifier: Apache-2.0
"""The embedded default at the size of a released generator: the same face, painted as slowly as those paint.

    python recipes/bench/enlarge.py SIZE OUT.effigy

Behind its blocks come new ones with as many channels as the official networks have at those sizes. They compute
all that a trained block does, and add nothing to the picture. It serves to measure, not to look at.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from backend.generators.checkpoints import open_checkpoint, write_own
from backend.generators.mapping import initialize
from backend.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from backend.models import DEFAULT_BUNDLE
from backend.models.bundle import sha256


def enlarge(size: int, out: Path) -> None:
    """Writes the bundle ``out`` whose pictures have ``size`` pixels a side.

    Raises ValueError when that is no power of two above the default's.
    """
    source = DEFAULT_BUNDLE / "generator.safetensors"
    with open_checkpoint(source) as checkpoint:
        config = checkpoint.config
    assert isinstance(config, StyleGAN2Config)
    if size <= config.resolution[0] or size & (size - 1):
        raise ValueError(f"{size} is no power of two above {config.resolution[0]}")
    trained = {name: value.float() for name, value in load_file(source).items()}
    while config.resolution[0] < size:
        channels = (32768 if size > 256 else 16384) // (2 * config.resolution[0])
        config = replace(config, channels=(*config.channels, min(channels, 512)))
    network = StyleGAN2(config)
    initialize(network)
    state = network.state_dict() | trained
    for name in state.keys() - trained.keys():
        if ".torgb.weight" in name:
            state[name] = torch.zeros_like(state[name])
    shutil.copytree(DEFAULT_BUNDLE, out)
    write_own(out / source.name, config, state)
    header = json.loads((out / "model.json").read_text(encoding="utf-8"))
    header["generator"]["sha256"] = sha256(out / source.name)
    header["name"] = f"Effigy default at {size}"
    (out / "model.json").write_text(json.dumps(header), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", type=int)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        enlarge(arguments.size, arguments.out)
    except ValueError as error:
        parser.error(str(error))
