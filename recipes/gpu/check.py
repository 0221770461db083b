# SPDX-License-Identifier: Apache-2.0
"""What a GPU paints, how exactly and how fast, as a page: see check.sh, which calls it.

    python -m recipes.gpu.check --device cuda --out docs/benchmarks-gpu.md [--sizes 256,1024] [--official CHECKOUT]

Every figure comes from the machine it runs on. What there is no time left for is said to be unmeasured.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from effigy.commands.bench import BenchError, bench_synthesis
from effigy.faces import DEFAULT_BUNDLE, load_face_model
from effigy.generators import GeneratorFileError, load_generator
from effigy.generators.load import resolve_device
from effigy.generators.previews.painter import Graphed
from effigy_protocol.files import whole_file

_SINGLE = 2e-3  # of [−1, 1]: what finals of two devices in float32 may differ by, most of it order of sums
_HALF = 0.1  # the same for a preview of 16 bits a number
_HANDS = {"cuda": 50, "cpu": 5}  # pictures timed from hand to pixels
_OFFICIAL = Path(__file__).parents[1] / "bench" / "official.py"


@dataclass(slots=True)
class Page:
    """The page while it is written, and whether all that it claims holds."""

    title: str
    lines: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def table(self, heading: str, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
        self.lines += ["", f"## {heading}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
        self.lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]

    def say(self, heading: str, text: str) -> None:
        self.lines += ["", f"## {heading}", "", text]

    def text(self) -> str:
        verdict = "All checks hold." if not self.failed else "**These fail:** " + "; ".join(self.failed) + "."
        return "\n".join([f"# {self.title}", "", verdict, *self.lines]) + "\n"


def main(device: str, sizes: list[int], official: Path | None, seconds: float, tests: int) -> Page:
    """Measures, the most important first, as long as there are ``seconds``."""
    end = time.monotonic() + seconds
    where = torch.device(resolve_device(device))
    page = Page(f"On {machine(where)}")
    page.lines += [f"Written by `recipes/gpu/check.sh`; PyTorch {torch.__version__}, {platform.platform()}."]
    if where.type == "cuda":
        check(page, tests == 0, "the tests marked cuda")
    steps: list[tuple[str, Callable[[], None]]] = [
        ("Parity", lambda: parity(page, where)),
        ("From hand to picture", lambda: hands(page, where)),
        *[(f"Speed at {size}", partial(speed, page, where, size)) for size in sizes],
    ]
    if official is not None:
        steps.append(("Beside the official code", lambda: beside(page, official, sizes, end)))
    for name, step in steps:
        if time.monotonic() > end:
            page.say(name, "Unmeasured: the time was up.")
        else:
            step()
    if where.type == "cuda":
        page.say("Memory", f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MiB at the most, in this process.")
    return page


def machine(where: torch.device) -> str:
    if where.type == "cuda":
        return f"{torch.cuda.get_device_name(where)}, CUDA {torch.version.cuda}"
    return f"{platform.machine()} without a GPU: nothing here is about CUDA"


def check(page: Page, holds: bool, what: str) -> bool:
    if not holds:
        page.failed.append(what)
    return holds


def parity(page: Page, where: torch.device) -> None:
    """Compares finals of the embedded default with the CPU's, in float32 and in less precise numbers."""
    cpu = load_face_model(DEFAULT_BUNDLE, "cpu")
    path = DEFAULT_BUNDLE / "generator.safetensors"
    people = [cpu.open_seed(seed) for seed in range(4)]
    ws = torch.stack([cpu.edit(person, 10.0 * i - 15, 0.0, {}).ws for i, person in enumerate(people)])
    with torch.inference_mode():
        wanted = cpu.generator.synthesize(ws)
        rows = []
        for name, dtype, bound in precisions(where):
            generator = load_generator(path, str(where), dtype)
            painted = generator.synthesize(ws.to(where)).float().cpu()
            error = float((painted - wanted).abs().max())
            rows.append(
                (name, f"{error:.1e}", bound, "yes" if check(page, error <= bound, f"parity in {name}") else "**no**")
            )
        finals = load_face_model(DEFAULT_BUNDLE, str(where))
        if where.type == "cuda":
            single = not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
            check(page, single, "finals without TF32")
        together = finals.finals(ws).bytes()
        alone = np.concatenate([finals.finals(row[None]).bytes() for row in ws])
        check(page, (together == alone).all(), "finals alone and together are equal to the bit")
        differing = (together != cpu.finals(ws).bytes()).mean()
    page.table("Parity with the CPU's float32", ("numbers", "largest error of [−1, 1]", "allowed", "holds"), rows)
    page.lines += ["", f"Of the finals' values, {1e6 * differing:.0f} in a million are others than on the CPU."]
    if where.type == "cuda":
        graphed = Graphed(load_generator(path, str(where), torch.float16))
        plain = load_generator(path, str(where), torch.float16).synthesize(ws[:1].to(where))
        check(page, bool((graphed(ws[:1].to(where)) - plain).abs().max() < _HALF), "previews by a CUDA graph")


def precisions(where: torch.device) -> Iterator[tuple[str, torch.dtype, float]]:
    yield "float32", torch.float32, _SINGLE
    if where.type == "cuda":
        yield "float16", torch.float16, _HALF
        yield "bfloat16", torch.bfloat16, 4 * _HALF


def hands(page: Page, where: torch.device) -> None:
    """Times a preview and a final from a turn to pixels on the CPU, without the socket."""
    model = load_face_model(DEFAULT_BUNDLE, str(where), fast_previews=where.type == "cuda")
    person = model.open_seed(4)

    def preview(ws: Tensor) -> object:
        return model.preview(ws).bytes()

    def final(ws: Tensor) -> object:
        return model.paint(ws[None])

    rows = []
    for name, paint in (("preview", preview), ("final", final)):
        spent = []
        for step in range(_HANDS[where.type] + 3):
            started = time.perf_counter()
            paint(model.edit(person, 0.4 * step, 0.0, {}).ws)
            spent.append(1e3 * (time.perf_counter() - started))
        spent = sorted(spent[3:])
        rows.append((name, f"{spent[len(spent) // 2]:.1f}", f"{spent[int(0.95 * len(spent))]:.1f}"))
    model.close()
    page.table("From hand to picture, embedded default, ms", ("", "median", "95 %"), rows)


def speed(page: Page, where: torch.device, size: int) -> None:
    """Times every way of painting with a StyleGAN2 of random weights, with batch 1 and the best batch."""
    try:
        measured = bench_synthesis(f"stylegan2-{size}" if size > 128 else "default", where.type, compiled=False)
    except (BenchError, torch.OutOfMemoryError) as error:
        page.say(f"Speed at {size}", f"Unmeasured: {error}")
        return
    rows = [
        (run["mode"], run["batch"], f"{run['ms']:.2f}", f"{100 * run['ceiling_share']:.0f} %")
        for run in measured["runs"]
    ]
    page.table(f"A picture at {size} × {size}, ms", ("way", "batch", "ms per picture", "of the ceiling"), rows)


def beside(page: Page, checkout: Path, sizes: list[int], end: float) -> None:
    """Times NVIDIA's own code in the same run."""
    names = [f"stylegan2-{size}" for size in sizes if size > 128]
    command = [sys.executable, str(_OFFICIAL), str(checkout), *names, "--no-compiled", "--rounds", "2"]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=max(end - time.monotonic(), 1), check=False
        )
    except subprocess.TimeoutExpired:
        page.say("Beside the official code", "Unmeasured: the time was up.")
        return
    said = (
        ran.stdout.strip()
        if ran.returncode == 0
        else f"It ended with code {ran.returncode}: {ran.stderr.strip()[-400:]}"
    )
    page.say("Beside the official code", f"```\n{said}\n```")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", default="256,1024")
    parser.add_argument("--official", type=Path)
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--tests", type=int, default=0, help="how the tests marked cuda ended")
    given = parser.parse_args()
    try:
        written = main(
            given.device, [int(size) for size in given.sizes.split(",")], given.official, given.seconds, given.tests
        )
    except GeneratorFileError as error:
        sys.exit(f"check: {error}")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(given.out) as temporary:
        temporary.write_text(written.text(), encoding="utf-8")
    print(written.text())
    sys.exit(1 if written.failed else 0)
