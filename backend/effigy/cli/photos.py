# SPDX-License-Identifier: Apache-2.0
"""``effigy read`` and ``effigy transfer``: photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from effigy_protocol.files import is_folder

from .console import Console, fail, note
from .options import ModelOption

FaceOption = Annotated[int, typer.Option(min=1, help="Which face, if there are several; the largest is 1.")]
NeutralOption = Annotated[
    Path | None, typer.Option(help="A picture of the same person at rest: expressions count from there.")
]
PaintedOption = Annotated[
    bool, typer.Option("--painted", help="The picture was painted by a generator, or rendered: it is no photograph.")
]


def add_to(app: typer.Typer) -> None:
    """Adds these commands to ``app``."""
    for command in (read, transfer):
        app.command()(command)


def read(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE…", help="PNG, JPEG or WebP.")],
    model: ModelOption = "default",
    face: FaceOption = 1,
    neutral: NeutralOption = None,
    painted: PaintedOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Read the turn and the expression of faces in photographs, in a face model's controls.

    Ends with 1 where one of several could not be read, after the others were.
    """
    from ..commands.photos import PhotoError, as_csv, read_pictures, reliability, unreliable
    from ..faces import BundleError, load_face_model, resolve_bundle
    from ..faces.transfer import UnreadableModelError
    from ..landmarks import DetectorError

    try:
        reading = load_face_model(resolve_bundle(model))
        outcomes = read_pictures(reading, pictures, face, neutral, painted=painted)
    except (BundleError, DetectorError, PhotoError, UnreadableModelError) as error:
        raise fail(error) from None
    if csv:
        typer.echo(as_csv(reading, outcomes), nl=False)
    elif any(outcome.reading is not None for outcome in outcomes):
        readings = [(outcome.path.name, outcome.reading) for outcome in outcomes if outcome.reading is not None]
        table = Table("", *(name for name, _ in readings), "correlation with the truth")
        known = {name: f"{value:.2f}" for name, value in reliability(reading).items()}
        for name in ("yaw", "pitch", "roll"):
            table.add_row(name, *(f"{getattr(found, name):.1f}°" for _, found in readings), known.get(name, ""))
        for name in reading.controls:
            table.add_row(name, *(f"{found.controls[name]:.2f}" for _, found in readings), known[name])
        Console().print(table)
    if weak := unreliable(reading):
        note(f"photographs do not show {', '.join(weak)} reliably: transfers leave them alone")
    for outcome in outcomes:
        if outcome.reading is not None:
            _note_several(outcome.path, len(outcome.reading.boxes), face)
    problems = [outcome.problem for outcome in outcomes if outcome.problem]
    for problem in problems[:-1]:
        fail(problem)
    if problems:
        raise fail(problems[-1], 1)


def _note_several(path: Path, faces: int, face: int) -> None:
    if faces > 1:
        note(f"{path} shows {faces} faces: this is face {face}, by size; --face takes another")


def transfer(
    picture: Annotated[Path, typer.Argument(help="PNG, JPEG or WebP.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")],
    seed: Annotated[int | None, typer.Option(min=0, help="The person to paint, by seed.")] = None,
    latent: Annotated[
        Path | None, typer.Option(help="The person to paint: a latent's file, or a projector's .npz.")
    ] = None,
    model: ModelOption = "default",
    neutral: NeutralOption = None,
    painted: PaintedOption = False,
    face: FaceOption = 1,
    part: Annotated[str, typer.Option(help="all, expression, turn, mouth, eyes or brows.")] = "all",
    strength: Annotated[float, typer.Option(min=0, max=2, help="The strength; 1 is what the photograph shows.")] = 1.0,
) -> None:
    """Paint another person with the turn and the expression of the face in a photograph."""
    from effigy_protocol.transfer import PARTS

    from .. import api
    from ..commands.photos import PhotoError, read_for
    from ..faces import BundleError
    from ..faces.transfer import UnreadableModelError
    from ..generators import GeneratorFileError
    from ..landmarks import DetectorError
    from ..painting import PaintingError
    from ..painting.outputs import check_apart, check_place

    if (seed is None) == (latent is None):
        raise fail("whom to paint must be said once: with --seed N or with --latent FILE")
    if part not in PARTS:
        raise fail(f"unknown part {part!r}: use {', '.join(PARTS)}")
    if is_folder(out) or out.suffix.lower() != ".png":
        raise fail(f"{out} is not the name of a PNG file: --out names one")
    try:
        for read in (picture, neutral):
            check_apart(out, read)
        check_place(out)
        painter = api.load(model)
        person = api.person(seed, latent, model=painter)
        found, faces = read_for(painter, person, picture, neutral, face, part, strength, painted=painted)
        api.paint(person, yaw=found.yaw, pitch=found.pitch, controls=found.controls, out=out, model=painter)
    except (BundleError, DetectorError, GeneratorFileError, PaintingError, PhotoError, UnreadableModelError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} cannot be written ({error}): choose another place with --out") from None
    _note_several(picture, faces, face)
    if found.left_out:
        note(f"photographs do not show {', '.join(found.left_out)} reliably: left as it is")
    console = Console(soft_wrap=True, highlight=False)
    asked = ", ".join(f"{name} {value:.2f}" for name, value in found.controls.items())
    console.print(f"{out}: yaw {found.yaw:.1f}°, pitch {found.pitch:.1f}°, {asked}", markup=False)
