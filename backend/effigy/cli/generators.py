# SPDX-License-Identifier: Apache-2.0
"""``effigy generators``: generator files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from effigy_protocol.files import is_folder, is_there

from .console import Console, errors, fail, stage_progress
from .options import GENERATOR, JsonOption

generators = typer.Typer(help="Generator files: list, inspect, convert, fetch.", no_args_is_help=True)


@generators.command("list")
def list_generators() -> None:
    """List the public generators that Effigy can fetch, and which of them are here."""
    from ..generators.catalogue import CATALOGUE, models_folder

    table = Table(Column("name", no_wrap=True), "paints", "here", "licence")
    for model in CATALOGUE.values():
        table.add_row(model.name, model.paints, "yes" if model.path().is_file() else "–", model.licence)
    console = Console()
    console.print(table)
    console.print(f"kept in {models_folder()}", markup=False, soft_wrap=True)


@generators.command()
def inspect(file: Annotated[str, typer.Argument(help=GENERATOR)], json: JsonOption = False) -> None:
    """Describe a generator file, and for a bundle what its edits keep. Nothing in it is executed."""
    from ..commands.inspect import inspect as describe
    from ..faces import BundleError
    from ..generators import GeneratorFileError

    try:
        found = describe(file)
    except (BundleError, GeneratorFileError) as error:
        raise fail(error) from None
    console = Console(soft_wrap=True, highlight=False)
    if json:
        console.print_json(data=found)
        return
    for key, value in found.items():
        console.print(f"{key:<14} {' '.join(str(value).splitlines())}", markup=False)  # no line of the file's own


@generators.command()
def convert(
    file: Annotated[str, typer.Argument(help=GENERATOR)],
    out: Annotated[Path, typer.Argument(help="The .safetensors to write.")],
) -> None:
    """Rewrite a generator as safetensors, number by number."""
    from ..faces import BundleError, generator_of
    from ..generators import GeneratorFileError, convert_generator

    if out.suffix != ".safetensors":
        raise fail(f"{out} must end in .safetensors: other formats are only read")
    if is_there(out):
        raise fail(f"{out} is there already: remove it, or write another")
    if not is_folder(out.parent):
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


@generators.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name listed by 'effigy generators list'.")],
    accept_licence: Annotated[bool, typer.Option(help="Confirm that you have read and accept the licence.")] = False,
) -> None:
    """Download a public generator from its publisher; an interrupted download resumes."""
    from ..generators.catalogue import CATALOGUE, FetchError
    from ..generators.catalogue import fetch as download

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
