# SPDX-License-Identifier: Apache-2.0
"""The embedded default at the size of a released generator: the same face, painted as slowly as those paint.

    python recipes/bench/enlarge.py SIZE OUT.effigy

Its blocks get as many channels as the official networks have, and further blocks follow them. All of them compute what
trained ones do; what is new adds nothing to the picture. It serves to measure, not to look at.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from backend.generators.checkpoints import open_checkpoint, write_own
from backend.generators.mapping import initialize
from backend.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from backend.models import DEFAULT_BUNDLE
from backend.models.bundle import sha256


def enlarge(size: int, out: Path) -> None:
    """Writes the bundle ``out`` whose pictures have ``size`` pixels a side.

    Raises ValueError when that is no power of two above the default's, up to 1024.
    """
    source = DEFAULT_BUNDLE / "generator.safetensors"
    with open_checkpoint(source) as checkpoint:
        config = checkpoint.config
    assert isinstance(config, StyleGAN2Config)
    if size <= config.resolution[0] or size & (size - 1) or size > 1024:
        raise ValueError(f"{size} is no power of two from {2 * config.resolution[0]} to 1024")
    base = 32768 if size > 256 else 16384
    levels = range(int(math.log2(size)) - 1)
    wide = replace(config, channels=tuple(min(base // (4 << level), 512) for level in levels))
    network = StyleGAN2(wide)
    initialize(network)
    state = network.state_dict()
    for name, value in load_file(source).items():
        state[name].zero_()[tuple(slice(length) for length in value.shape)] = value
        if ".torgb.weight" in name:  # it is divided by √channels
            state[name] *= (state[name].shape[1] / value.shape[1]) ** 0.5
    for block in network.synthesis.blocks()[len(config.channels) :]:
        block.torgb.weight.data.zero_()
    shutil.copytree(DEFAULT_BUNDLE, out)
    write_own(out / source.name, wide, state)
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
