# SPDX-License-Identifier: Apache-2.0
"""The command line. Every command is a thin shell around a function that can be imported."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

# How long a waiting thread spins before it sleeps. Without a bound, shared cores make a picture several times
# slower; without any spinning it takes 1.4 times as long (docs/benchmarks.md).
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import typer
from typer.core import TyperGroup

from effigy_protocol.version import VERSION

from ..memory import keep_freed_memory
from . import bench, bundle, capture, doctor, evaluate, fit, generators, nrsfm, page, people, photos, pictures, serve
from .console import fail

_NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


class _Commands(TyperGroup):
    """The commands, of which none ends with a traceback where what it prints finds no room, as in > FILE."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        with _told_of_no_room():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        with _told_of_no_room():
            return super().invoke(ctx)


@contextmanager
def _told_of_no_room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = "" if error.filename is None else f" {error.filename}"
        raise fail(f"there is no room to write{where} ({error.strerror}): free some, or choose another disk") from None


app = typer.Typer(
    cls=_Commands,
    help="Poses the faces of a StyleGAN in 3D. Blender's add-on starts 'effigy serve' automatically; begin with "
    "'effigy doctor'. For a generator of your own: 'generators fetch' or a file, then 'fit', then 'evaluate'.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its box around an error would leave no last line that says what is wrong
)
for verb in (serve.serve, page.page, fit.fit, evaluate.evaluate, nrsfm.nrsfm, doctor.doctor, capture.capture):
    app.command()(verb)
pictures.add_to(app)
photos.add_to(app)
people.add_to(app)
app.add_typer(bundle.bundle, name="bundle")
app.add_typer(generators.generators, name="generators")
app.add_typer(generators.generators, name="models", hidden=True)  # its name before 0.2.0; gone in 0.3.0
app.add_typer(bench.bench, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"effigy {VERSION}")
        raise typer.Exit


@app.callback()
def prepare(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    keep_freed_memory()
