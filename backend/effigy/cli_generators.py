# SPDX-License-Identifier: Apache-2.0
"""``effigy models`` and ``effigy bench``: generator files, and how fast they paint here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from .console import errors, fail, stage_progress

models = typer.Typer(help="Generator files: list, inspect, convert, fetch.", no_args_is_help=True)
bench = typer.Typer(help="Measure this machine.", no_args_is_help=True)

GENERATOR = "A generator file (.pkl, .pt, .safetensors), a name that was fetched, or a bundle, whose own is meant."
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@bench.callback()
def _bench() -> None:
    """Keeps ``synthesis`` a command of its own."""


@models.command("list")
def list_models() -> None:
    """The public generators that Effigy can fetch, and which of them are here."""
    from .generators.catalogue import CATALOGUE, models_folder

    table = Table(Column("name", no_wrap=True), "paints", "here", "licence")
    for model in CATALOGUE.values():
        table.add_row(model.name, model.paints, "yes" if model.path().is_file() else "–", model.licence)
    console = Console()
    console.print(table)
    console.print(f"kept in {models_folder()}", markup=False, soft_wrap=True)


@models.command()
def inspect(file: Annotated[str, typer.Argument(help=GENERATOR)], json: JsonOption = False) -> None:
    """What a generator file holds, and of a bundle what its edits hold. Nothing in it is executed."""
    from .commands.models import inspect_generator
    from .generators import GeneratorFileError
    from .models import BundleError, describe_looks, generator_of, is_bundle, resolve_bundle

    try:
        found = inspect_generator(generator_of(file))
        if is_bundle(file):
            found["edits hold"] = describe_looks(resolve_bundle(file))
    except (BundleError, GeneratorFileError) as error:
        raise fail(error) from None
    console = Console(soft_wrap=True, highlight=False)
    if json:
        console.print_json(data=found)
        return
    for key, value in found.items():
        console.print(f"{key:<14} {value}", markup=False)


@models.command()
def convert(
    file: Annotated[str, typer.Argument(help=GENERATOR)],
    out: Annotated[Path, typer.Argument(help="The .safetensors to write.")],
) -> None:
    """Rewrite a generator as safetensors, number by number."""
    from .generators import GeneratorFileError, convert_generator
    from .models import BundleError, generator_of

    if out.suffix != ".safetensors":
        raise fail(f"{out} must end in .safetensors: other formats are only read")
    if out.exists():
        raise fail(f"{out} is there already: remove it, or write another")
    if not out.parent.is_dir():
        raise fail(f"there is no folder {out.parent}: make it first")
    try:
        remarks = convert_generator(generator_of(file), out)
    except (BundleError, GeneratorFileError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} cannot be written ({error})") from None
    for remark in remarks:
        errors.print(remark, markup=False, highlight=False, soft_wrap=True)
    Console(soft_wrap=True, highlight=False).print(str(out), markup=False)


@models.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name of effigy models list.")],
    accept_licence: Annotated[bool, typer.Option(help="You have read the licence and accept it.")] = False,
) -> None:
    """Download a public generator from its publisher; an interrupted download resumes."""
    from .generators.catalogue import CATALOGUE, FetchError
    from .generators.catalogue import fetch as download

    if name not in CATALOGUE:
        raise fail(f"unknown generator {name!r}: use {', '.join(CATALOGUE)}")
    model = CATALOGUE[name]
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{name}: {model.licence}\n{model.terms}", markup=False)
    if not accept_licence and not typer.confirm("Do you accept this licence?"):
        raise typer.Exit(1)
    try:
        with stage_progress() as progress:
            path = download(model, lambda done, total: progress("fetch", done, total))
    except FetchError as error:
        raise fail(error) from None
    fit = f"next: effigy fit --generator {name} --landmarks {model.landmarks} --out {name}.effigy"
    console.print(f"{path}\n{fit if model.landmarks else 'it can be read and painted, not fitted'}", markup=False)


@bench.command()
def synthesis(
    generator: Annotated[
        str,
        typer.Option(help=f"{GENERATOR} Or stylegan2-256, stylegan2-1024, stylegan3-r-256: random weights."),
    ] = "stylegan2-256",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    compiled: Annotated[bool, typer.Option(help="Compile as well, which takes a minute or more.")] = True,
    json: JsonOption = False,
) -> None:
    """How fast a generator paints here, beside the fastest convolution that this machine does."""
    from .commands.bench import BenchError, bench_synthesis
    from .generators import GeneratorFileError
    from .models import BundleError

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
