# SPDX-License-Identifier: Apache-2.0
"""``effigy bench``: how fast generators paint on this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from .console import Console, fail, stage_progress
from .options import GENERATOR, JsonOption

bench = typer.Typer(help="Measure the speed of this machine.", no_args_is_help=True)


@bench.callback()
def _bench() -> None:
    """Keeps ``synthesis`` a command of its own."""


@bench.command()
def synthesis(
    generator: Annotated[
        str,
        typer.Option(help=f"{GENERATOR} Or stylegan2-256, stylegan2-1024, stylegan3-r-256: random weights."),
    ] = "stylegan2-256",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps (a Mac's GPU: untested).")] = "auto",
    compiled: Annotated[bool, typer.Option(help="Also compile, which takes a minute or more.")] = True,
    json: JsonOption = False,
) -> None:
    """Measure how fast a generator paints here, beside the fastest convolution that this machine does."""
    from ..commands.bench import BenchError, bench_synthesis
    from ..faces import BundleError
    from ..generators import GeneratorFileError

    try:
        with stage_progress() as progress:
            found = bench_synthesis(generator, device, compiled, lambda done, total: progress("bench", done, total))
    except (BundleError, GeneratorFileError, BenchError) as error:
        raise fail(error) from None
    console = Console(soft_wrap=True)
    if json:
        console.print_json(data=found)
        return
    title = f"{generator}, {found['gmac']:.1f} GMAC"
    table = Table("", "batch", "", "ms", "CPU ms", "GFLOP/s", "of the ceiling", title=title)
    for run in found["runs"]:
        table.add_row(
            run["mode"], str(run["batch"]), "best" if run["best"] else "", f"{run['ms']:.1f}", f"{run['cpu_ms']:.1f}",
            f"{run['gflops']:.0f}", f"{100 * run['ceiling_share']:.0f} %",
        )  # fmt: skip
    console.print(table)
