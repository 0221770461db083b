# SPDX-License-Identifier: Apache-2.0
"""Our generators beside NVIDIA's own code, in one run, with the same random weights: errors and speed.

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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.commands.bench import KNOWN
from backend.generators import load_generator
from backend.generators.checkpoints import write_own
from backend.generators.compiled import Compilation, load_compiled
from backend.generators.previews import has_native_bfloat16
from backend.generators.stylegan2 import StyleGAN2Config
from backend.memory import keep_freed_memory

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """The least process CPU and wall milliseconds of a picture."""

    cpu: float
    wall: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("names", nargs="*", choices=list(KNOWN), help="all, when none is named")
    parser.add_argument("--no-compiled", action="store_true")
    parser.add_argument("--measure", choices=("plain", "kept"), help=argparse.SUPPRESS)  # in a process of its own
    arguments = parser.parse_args()
    if arguments.measure is not None:
        if arguments.measure == "kept":
            keep_freed_memory()
        print(json.dumps(measure(arguments.names[0], arguments.checkout, compiled=not arguments.no_compiled)))
        return
    for name in arguments.names or KNOWN:
        compare(name, arguments.checkout, ["--no-compiled"] if arguments.no_compiled else [])


def compare(name: str, checkout: Path, options: list[str]) -> None:
    """Prints error (in units of the picture's standard deviation) and speed of our ways, beside the official code.

    Measured in a process as it comes, and in one that keeps freed memory as the backend does. Either speed of ours is
    against the official code in a process as it comes; how that fares with memory kept stands in its own row.
    """
    plain, kept = (
        json.loads(
            subprocess.run(
                [sys.executable, __file__, checkout, name, "--measure", memory, *options],
                check=True,
                stdout=subprocess.PIPE,
            ).stdout.splitlines()[-1]
        )
        for memory in ("plain", "kept")
    )
    for mode in plain:
        speeds = [plain["official"]["cpu"] / each[mode]["cpu"] for each in (plain, kept)]
        print(
            f"{name:16} {mode:9}"
            + " | ".join(
                f" {memory} {each[mode]['cpu']:6.0f} CPU ms {each[mode]['wall']:6.0f} ms {speed:5.2f} ×"
                for memory, each, speed in zip(("plain", "kept"), (plain, kept), speeds, strict=True)
            )
            + f" | error max {plain[mode]['max']:.1e} mean {plain[mode]['mean']:.1e}",
            flush=True,
        )


def measure(name: str, checkout: Path, *, compiled: bool) -> dict[str, dict[str, float]]:
    """CPU and wall milliseconds, largest and mean error of each way."""
    network = official(name, checkout)
    ws = network.mapping(torch.randn(1, 512, generator=torch.Generator().manual_seed(0)), None)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = Path(folder) / "g.safetensors"
        state = {key: value for key, value in network.state_dict().items() if "resample_filter" not in key}
        write_own(path, KNOWN[name], state)
        ways: dict[str, Callable[[Tensor], Tensor]] = {
            "official": lambda ws: network.synthesis(ws, noise_mode="const", force_fp32=True),
            "eager": load_generator(path, "cpu").synthesize,
        }
        for mode, dtype in {"compiled": torch.float32, "bf16": torch.bfloat16}.items():
            if compiled and (dtype == torch.float32 or has_native_bfloat16()):
                package = Compilation(path, dtype, Path(folder) / f"{mode}.pt2").package()
                if package is not None:
                    ways[mode] = load_compiled(package)
        expected = ways["official"](ws)
        errors = {mode: (paint(ws) - expected).abs() / expected.std() for mode, paint in ways.items()}
        best = interleaved(ways, ws)
    return {
        mode: {**asdict(best[mode]), "max": float(error.max()), "mean": float(error.mean())}
        for mode, error in errors.items()
    }


def interleaved(ways: dict[str, Callable[[Tensor], Tensor]], ws: Tensor) -> dict[str, Timing]:
    """Each way's best of several rounds: what else the machine does then meets all of them."""
    rounds: dict[str, list[Timing]] = {mode: [] for mode in ways}
    for _ in range(ROUNDS):
        for mode, paint in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            paint(ws)
            rounds[mode].append(Timing((time.process_time() - cpu) * 1e3, (time.perf_counter() - wall) * 1e3))
    return {mode: Timing(min(t.cpu for t in ts), min(t.wall for t in ts)) for mode, ts in rounds.items()}


def official(name: str, checkout: Path) -> Any:
    """NVIDIA's own network with random weights; what its code imports and nobody has any more, is left empty."""
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
                parameter.data.fill_(0.1)  # noise that shows
    else:
        from training.networks_stylegan3 import Generator

        network = Generator(
            **common, img_resolution=config.img_resolution, channel_base=config.channel_base,
            channel_max=config.channel_max, conv_kernel=1, use_radial_filters=True,
            mapping_kwargs={"num_layers": 2}, magnitude_ema_beta=0.999,
        )  # fmt: skip
    return network.eval().requires_grad_(False)


if __name__ == "__main__":
    main()
