# SPDX-License-Identifier: Apache-2.0
"""``effigy bundle``: what is done to a face model that is fitted already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .console import fail, stage_progress
from .options import IdentityOption, open_embedder

bundle = typer.Typer(help="Face models that are fitted already.", no_args_is_help=True)


@bundle.callback()
def _bundle() -> None:
    """Keeps ``refine`` a command of its own."""


@bundle.command()
def refine(
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or 'default' or 'first-default'.")],
    out: Annotated[Path, typer.Option(help="The new bundle's folder, which must not be there yet.")],
    identity: IdentityOption = "auto",
    samples: Annotated[int, typer.Option(min=1000, help="Pictures to make and learn from.")] = 20_000,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for what is sampled, so that a run that was stopped goes on; OUT.samples."),
    ] = None,
) -> None:
    """Give a face model of an earlier Effigy what keeps colours and the person in edits, without a new fit.

    Or learn it anew, with another identity network. BUNDLE stays as it is.
    """
    from ..faces import BundleError, generator_of, is_bundle, resolve_bundle
    from ..fitting.refining import refine as run
    from ..fitting.samples import SamplesError
    from ..generators import GeneratorFileError

    if not is_bundle(name):
        raise fail(f"{name} is not a face model (no model.json): choose a folder that 'effigy fit' wrote")
    try:
        with stage_progress() as progress:
            embedder = open_embedder(identity, generator_of(name))
            folder = work or out.with_name(out.name + ".samples")
            looks = run(resolve_bundle(name), embedder, out, folder, samples, progress)
    except (BundleError, GeneratorFileError, SamplesError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} or its samples cannot be written or read ({error})") from None
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"edits hold {looks}\n{out}: effigy evaluate {out} measures it.", markup=False)
