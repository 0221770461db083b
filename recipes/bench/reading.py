# SPDX-License-Identifier: Apache-2.0
"""Measures time and memory for reading a training snapshot of NVIDIA's, with nothing in it executed.

Needs a checkout of github.com/NVlabs/stylegan3, which is NVIDIA's and not part of Effigy:

    python recipes/bench/reading.py CHECKOUT

Writes G, D and G_ema of a StyleGAN2 256 with random weights, by NVIDIA's own classes, and reads them in a new process.
"""

from __future__ import annotations

import argparse
import copy
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from effigy.generators import load_generator
from recipes.bench.official import official

NAME = "stylegan2-256"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)  # in a process of its own
    arguments = parser.parse_args()
    if arguments.read is not None:
        read(arguments.read)
        return
    with tempfile.TemporaryDirectory() as folder:
        snapshot = Path(folder) / "snapshot.pkl"
        write(snapshot, arguments.checkout)
        print(f"{snapshot.stat().st_size / 1e6:.0f} MB")
        for _ in range(3):
            subprocess.run([sys.executable, __file__, arguments.checkout, "--read", snapshot], check=True)


def write(snapshot: Path, checkout: Path) -> None:
    generator = official(NAME, checkout)
    from training.networks_stylegan2 import Discriminator

    discriminator = Discriminator(c_dim=0, img_resolution=256, img_channels=3, channel_base=16384)
    networks = {"G": generator, "D": discriminator, "G_ema": copy.deepcopy(generator)}
    snapshot.write_bytes(pickle.dumps(networks | {"augment_pipe": None, "training_set_kwargs": {}}))


def read(snapshot: Path) -> None:
    """Reads the file; counts peak memory from here on, because PyTorch itself takes more than any generator."""
    torch.randn(64, 64) @ torch.randn(64, 64)
    before, started = peak(), time.perf_counter()
    generator = load_generator(snapshot, "cpu")
    seconds = time.perf_counter() - started
    grown = peak() - before
    kept = sum(value.nbytes for value in generator.state_dict().values())
    print(f"{seconds:.2f} s, peak {grown / 1e6:.0f} MB, {grown / kept:.2f} × the {kept / 1e6:.0f} MB of weights kept")


def peak() -> int:
    """Returns this process's peak memory so far, in bytes (Linux; getrusage would include the parent's)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    main()
