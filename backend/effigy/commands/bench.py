# SPDX-License-Identifier: Apache-2.0
"""``effigy bench synthesis``: measures what a picture costs on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ..faces import generator_of
from ..generators import Generator, load_generator
from ..generators.checkpoints import Config, open_checkpoint, write_own
from ..generators.load import resolve_device
from ..generators.networks.configs import StyleGAN2Config, StyleGAN3Config
from ..generators.networks.dense import initialize
from ..generators.networks.operations import channels_last
from ..generators.previews.compiled import Compilation, load_compiled
from ..generators.previews.painter import Graphed, has_native_bfloat16
from ..generators.registry import build_network

# As the official releases for faces have them.
KNOWN: dict[str, Config] = {
    "stylegan2-256": StyleGAN2Config(512, 512, (512,) * 4 + (256, 128, 64), 8),
    "stylegan2-1024": StyleGAN2Config(512, 512, (512,) * 5 + (256, 128, 64, 32), 8),
    "stylegan3-r-256": StyleGAN3Config(
        512, 512, 256, channel_base=65536, channel_max=1024, conv_kernel=1, use_radial_filters=True
    ),
}
_BATCHES = (2, 4, 8)
_COMPILED_BATCH = 4  # besides 1: every batch is half a minute of the compiler's
_REPEATS = 5

Paint = Callable[[Tensor], Tensor]


class BenchError(Exception):
    """Something that cannot be measured here; the message says why."""


def bench_synthesis(
    generator: str,  # a file, or a name of KNOWN for random weights
    device: str = "auto",
    compiled: bool = True,  # compile as well
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Measures wall and process CPU milliseconds per picture (the best of five runs), GMAC, and the share of the
    ceiling.

    Each mode is measured with batch 1 and with its ``best`` batch. The ceiling is that of direct convolutions in the
    mode's precision. GMAC are counted as the network is written, so Winograd's convolutions can exceed it.
    """
    where = resolve_device(device)
    with tempfile.TemporaryDirectory() as folder:
        path = _file(generator, Path(folder))
        network = load_generator(path, str(where))
        ws = network.map(torch.randn(1, network.z_dim, generator=torch.Generator().manual_seed(0)).to(where))
        macs = _multiplications(path)
        ceilings: dict[torch.dtype, float] = {}
        ways = list(_ways(network, path, Path(folder), where, compiled))
        runs = []
        for number, way in enumerate(ways):
            progress(number, len(ways))
            if way.dtype not in ceilings:
                ceilings[way.dtype] = _ceiling(where, way.dtype)
            timed = [
                (batch, _time(way.prepare(batch), ws.expand(batch, -1, -1).contiguous(), where))
                for batch in way.batches
            ]
            best = min(timed, key=lambda run: run[1][0])
            for batch, (ms, cpu_ms) in dict.fromkeys((timed[0], best)):
                gflops = 2 * macs / ms / 1e6
                runs.append(
                    {
                        "mode": way.mode, "batch": batch, "best": batch == best[0], "ms": ms, "cpu_ms": cpu_ms,
                        "gflops": gflops, "ceiling_share": gflops / ceilings[way.dtype],
                    }
                )  # fmt: skip
        progress(len(ways), len(ways))
    return {
        "generator": generator,
        "device": str(where),
        "threads": torch.get_num_threads(),
        "gmac": macs / 1e9,
        "conv_ceiling_gflops": {str(dtype).removeprefix("torch."): ceiling for dtype, ceiling in ceilings.items()},
        "runs": runs,
    }


@dataclass(frozen=True, slots=True)
class _Way:
    """A way of painting: the function for a batch, and the batches worth trying, 1 first."""

    mode: str
    dtype: torch.dtype
    prepare: Callable[[int], Paint]
    batches: tuple[int, ...]


def _ways(network: Generator, path: Path, folder: Path, where: torch.device, compiled: bool) -> Iterator[_Way]:
    yield _Way("eager", torch.float32, lambda batch: network.synthesize, (1, *_BATCHES))
    if where.type == "cuda":
        half = load_generator(path, str(where), torch.float16)
        yield _Way("fp16", torch.float16, lambda batch: half.synthesize, (1, *_BATCHES))
        yield _Way("fp16 graph", torch.float16, lambda batch: Graphed(half), (1,))
    if where.type == "cuda" or has_native_bfloat16():
        short = load_generator(path, str(where), torch.bfloat16)
        yield _Way("bf16 eager", torch.bfloat16, lambda batch: short.synthesize, (1, *_BATCHES))
    if where.type == "cpu" and compiled:
        dtypes = {"compiled": torch.float32} | ({"bf16": torch.bfloat16} if has_native_bfloat16() else {})
        for mode, dtype in dtypes.items():

            def prepare(batch: int, dtype: torch.dtype = dtype) -> Paint:
                made = Compilation(path, dtype, folder / f"{dtype}-{batch}.pt2", batch).package()
                if made is None:
                    raise BenchError("nothing can be compiled here: install a C++ compiler, or use --no-compiled")
                return load_compiled(made)

            yield _Way(mode, dtype, prepare, (1, _COMPILED_BATCH))


def _file(generator: str, folder: Path) -> Path:
    if generator not in KNOWN:
        return generator_of(generator)
    config = KNOWN[generator]
    network = build_network(config)
    initialize(network)
    path = folder / "random.safetensors"
    write_own(path, config, network.state_dict())
    return path


def _multiplications(path: Path) -> int:
    """Counts the multiplications of one picture by the network as it is written, whatever way computes them."""
    with open_checkpoint(path) as checkpoint, torch.device("meta"):
        network = build_network(checkpoint.config)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.synthesize(torch.empty(1, network.num_ws, network.w_dim))
    return counter.get_total_flops() // 2


def _ceiling(where: torch.device, dtype: torch.dtype) -> float:
    """GFLOP/s of the convolution that machines do best: 3 × 3, 512 channels, 64 × 64."""
    x = channels_last(torch.randn(1, 512, 64, 64, device=where, dtype=dtype))
    weight = channels_last(torch.randn(512, 512, 3, 3, device=where, dtype=dtype))
    ms, _ = _time(lambda x: F.conv2d(x, weight, padding=1), x, where)
    return 2 * 512 * 512 * 9 * 64 * 64 / ms / 1e6


def _time(paint: Paint, x: Tensor, where: torch.device) -> tuple[float, float]:
    """Measures the least wall and process CPU milliseconds per picture."""
    walls, cpus = [], []
    with torch.inference_mode():
        paint(x)
        for _ in range(_REPEATS):
            wall, cpu = time.perf_counter(), time.process_time()
            paint(x)
            if where.type == "cuda":
                torch.cuda.synchronize()
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
    return min(walls) * 1e3 / len(x), min(cpus) * 1e3 / len(x)
