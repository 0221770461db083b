# SPDX-License-Identifier: Apache-2.0
"""``effigy bundle``: what is done to a face model that is fitted already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .console import fail, stage_progress

if TYPE_CHECKING:
    from .identity import Embedder

bundle = typer.Typer(help="Face models that are fitted already.", no_args_is_help=True)

IdentityOption = Annotated[
    str,
    typer.Option(
        help="The network by which edits keep a person: the path of ArcFace's weights, embedded (for the embedded "
        "default's people alone), none, or auto: embedded where the generator is, else none."
    ),
]


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
    from .generators import GeneratorFileError
    from .models import BundleError, generator_of, is_bundle, resolve_bundle
    from .models.refining import refine as run
    from .models.samples import SamplesError

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


def open_embedder(name: str, generator: Path) -> Embedder | None:
    """The identity network called ``name`` for pictures of the generator in this file, or None."""
    import torch

    from .generators.load import resolve_device
    from .identity import IdentityFileError, load_embedder
    from .models import DEFAULT_BUNDLE, embedded_bundle

    known = embedded_bundle(generator)
    if name == "auto":
        # An embedded network knows its own generator's people alone.
        name = "none" if known is None else "embedded"
    if name == "none":
        return None
    try:
        return load_embedder(name, known or DEFAULT_BUNDLE, torch.device(resolve_device("auto")))
    except IdentityFileError as error:
        raise fail(error) from None
