# SPDX-License-Identifier: Apache-2.0
"""Enlarges the embedded default to the size of a released generator: the same face at the cost of that generator.

    python -m recipes.bench.enlarge SIZE OUT.effigy

Its blocks get as many channels as those of the official networks, and further blocks are added. All of them do the
work of trained ones, but what is new adds nothing to the picture (``demo_face/widen.py``). The result is for
measurements only.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path

from effigy.faces import DEFAULT_BUNDLE
from effigy.faces.header import sha256
from effigy.generators.checkpoints import write_own
from recipes.demo_face.storage import read_trainable
from recipes.demo_face.widen import widened


def enlarge(size: int, out: Path) -> None:
    """Writes the bundle ``out`` whose pictures have ``size`` pixels a side.

    Raises ValueError unless ``size`` is a power of two above the default's, up to 1024.
    """
    source = DEFAULT_BUNDLE / "generator.safetensors"
    default = read_trainable(source)
    if size <= default.resolution[0] or size & (size - 1) or size > 1024:
        raise ValueError(f"{size} is no power of two from {2 * default.resolution[0]} to 1024")
    base = 32768 if size > 256 else 16384
    levels = range(int(math.log2(size)) - 1)
    wide = widened(default, tuple(min(base // (4 << level), 512) for level in levels))
    shutil.copytree(DEFAULT_BUNDLE, out)
    write_own(out / source.name, wide.config, wide.state_dict())
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
