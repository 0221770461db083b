# SPDX-License-Identifier: Apache-2.0
"""Compares our generators with NVIDIA's own code, in one run and with the same random weights: errors and speed.

Needs a checkout of github.com/NVlabs/stylegan3, which is NVIDIA's and not part of Effigy:

    python recipes/bench/official.py CHECKOUT [stylegan2-256 stylegan2-1024 stylegan3-r-256] [--no-compiled]
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import argparse
import json
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from effigy.commands.bench import KNOWN
from effigy.generators import load_generator
from effigy.generators.checkpoints import write_own
from effigy.generators.networks.configs import StyleGAN2Config, StyleGAN3Config
from effigy.generators.previews.compiled import Compilation, load_compiled
from effigy.generators.previews.painter import has_native_bfloat16
from effigy.memory import keep_freed_memory

GENERATOR, LATENT = "g.safetensors", "ws.npy"  # in the folder that the processes share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("names", nargs="*", choices=list(KNOWN), help="all, when none is named")
    parser.add_argument("--no-compiled", action="store_true")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--painter", nargs=3, metavar=("WHO", "MEMORY", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.painter is not None:
        who, memory, folder = arguments.painter
        paint_when_asked(who, memory, Path(folder), arguments)
        return
    for name in arguments.names or KNOWN:
        options = ["--no-compiled"] if arguments.no_compiled else []
        compare(name, [str(arguments.checkout), name, *options], arguments.rounds)


class Painter:
    """Paints in a process of its own, so that one code's use of memory does not affect the other's."""

    def __init__(self, who: str, memory: str, folder: Path, arguments: list[str]) -> None:
        self.memory = memory
        command = [sys.executable, __file__, *arguments, "--painter", who, memory, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.errors: dict[str, dict[str, float]] = self._answer()

    def paint(self, mode: str) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(mode + "\n")
        return self._answer()

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"a process that should paint has ended with code {self._process.wait()}: see above")
        return json.loads(line)


def compare(name: str, arguments: list[str], rounds: int) -> None:
    """Prints error (in standard deviations of the picture) and speed of our ways of painting against the official code.

    Each code runs in processes with default settings (plain) and in ones that keep freed memory, as the backend does
    (kept). Every speed is relative to the official code in a plain process. The processes take turns, so that other
    load on the machine affects all of them, and the best time of each way counts.
    """
    with tempfile.TemporaryDirectory() as folder:
        painters = [
            Painter(who, memory, Path(folder), arguments)
            for who in ("official", "ours")  # the official network's weights are ours too
            for memory in ("plain", "kept")
        ]
        best: dict[tuple[str, str], dict[str, float]] = {}
        for _ in range(rounds):
            for painter in painters:
                for mode in painter.errors:
                    timing, key = painter.paint(mode), (mode, painter.memory)
                    best[key] = {each: min(timing[each], best.get(key, timing)[each]) for each in timing}
        for painter in painters:
            painter.close()
    for mode, error in [each for painter in painters[::2] for each in painter.errors.items()]:
        figures = [(memory, best[mode, memory]) for memory in ("plain", "kept")]
        print(
            f"{name:16} {mode:9}"
            + " | ".join(
                f" {memory} {timing['cpu']:6.0f} CPU ms {timing['wall']:6.0f} ms "
                f"{best['official', 'plain']['cpu'] / timing['cpu']:5.2f} ×"
                for memory, timing in figures
            )
            + f" | error max {error['max']:.1e} mean {error['mean']:.1e}",
            flush=True,
        )


def paint_when_asked(who: str, memory: str, folder: Path, arguments: argparse.Namespace) -> None:
    """Prints the error of each way, then paints in the way that each input line names and prints the milliseconds."""
    if memory == "kept":
        keep_freed_memory()
    name = arguments.names[0]
    with torch.inference_mode():
        if who == "official":
            ways = official_ways(official(name, arguments.checkout), name, folder)
        else:
            ways = our_ways(folder, compiled=not arguments.no_compiled)
        ws = torch.from_numpy(np.load(folder / LATENT))
        expected = torch.from_numpy(np.load(folder / "official.npy"))
        errors = {mode: (paint(ws) - expected).abs() / expected.std() for mode, paint in ways.items()}
        print(json.dumps({m: {"max": float(e.max()), "mean": float(e.mean())} for m, e in errors.items()}), flush=True)
        for line in sys.stdin:
            paint = ways[line.strip()]
            paint(ws)  # so that what another way left behind is paid for here
            wall, cpu = time.perf_counter(), time.process_time()
            paint(ws)
            timing = {"cpu": (time.process_time() - cpu) * 1e3, "wall": (time.perf_counter() - wall) * 1e3}
            print(json.dumps(timing), flush=True)


def official_ways(network: Any, name: str, folder: Path) -> dict[str, Callable[[Tensor], Tensor]]:
    """Returns the official code's only way; writes its weights, a latent and its picture for the other processes."""
    ws = network.mapping(torch.randn(1, 512, generator=torch.Generator().manual_seed(0)), None)

    def paint(ws: Tensor) -> Tensor:
        return network.synthesis(ws, noise_mode="const", force_fp32=True)

    if not (folder / GENERATOR).exists():
        state = {key: value for key, value in network.state_dict().items() if "resample_filter" not in key}
        write_own(folder / GENERATOR, KNOWN[name], state)
        np.save(folder / LATENT, ws.numpy())
        np.save(folder / "official.npy", paint(ws).numpy())
    return {"official": paint}


def our_ways(folder: Path, *, compiled: bool) -> dict[str, Callable[[Tensor], Tensor]]:
    """Returns those of eager, compiled and compiled in bfloat16 that this machine can do."""
    path = folder / GENERATOR
    ways: dict[str, Callable[[Tensor], Tensor]] = {"eager": load_generator(path, "cpu").synthesize}
    for mode, dtype in {"compiled": torch.float32, "bf16": torch.bfloat16}.items():
        if compiled and (dtype == torch.float32 or has_native_bfloat16()):
            package = folder / f"{mode}.pt2"
            if package.exists() or Compilation(path, dtype, package).package() is not None:
                ways[mode] = load_compiled(package)
    return ways


def official(name: str, checkout: Path) -> Any:
    """Makes NVIDIA's network with random weights; modules that its code imports and that are gone become empty ones."""
    sys.path.insert(0, str(checkout))
    absent = types.ModuleType("pkg_resources")
    absent.parse_version = lambda text: tuple(int(n) for n in text.partition("+")[0].split(".")[:2])  # type: ignore[attr-defined]
    sys.modules.setdefault("pkg_resources", absent)
    sys.modules.setdefault("requests", types.ModuleType("requests"))
    torch.manual_seed(0)
    config = KNOWN[name]
    common = {"z_dim": 512, "c_dim": 0, "w_dim": 512, "img_channels": 3}
    if isinstance(config, StyleGAN2Config):
        from training.networks_stylegan2 import Generator

        size = config.resolution[0]
        network = Generator(
            **common, img_resolution=size, channel_base=16384 if size == 256 else 32768, channel_max=512,
            mapping_kwargs={"num_layers": config.mapping_layers}, num_fp16_res=4, conv_clamp=config.conv_clamp,
        )  # fmt: skip
        for parameter in network.parameters():
            if parameter.ndim == 0:
                parameter.data.fill_(0.1)  # visible noise
    else:
        assert isinstance(config, StyleGAN3Config)
        from training.networks_stylegan3 import Generator

        network = Generator(
            **common, img_resolution=config.img_resolution, channel_base=config.channel_base,
            channel_max=config.channel_max, conv_kernel=1, use_radial_filters=True,
            mapping_kwargs={"num_layers": 2}, magnitude_ema_beta=0.999,
        )  # fmt: skip
    return network.eval().requires_grad_(False)


if __name__ == "__main__":
    main()
