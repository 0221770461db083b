# SPDX-License-Identifier: Apache-2.0
"""``effigy read``, ``effigy transfer`` and ``effigy capture``: photographs, films and cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .console import errors, fail, note, stage_progress
from .options import ModelOption

FaceOption = Annotated[int, typer.Option(min=1, help="Which face, where there are several; the largest is 1.")]
NeutralOption = Annotated[
    Path | None, typer.Option(help="A picture of the same person at rest: expressions count from there.")
]
PaintedOption = Annotated[
    bool, typer.Option("--painted", help="The picture was painted by a generator, or rendered: it is no photograph.")
]


def add_to(app: typer.Typer) -> None:
    """Adds these commands to ``app``."""
    for command in (read, transfer, capture):
        app.command()(command)


def read(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE…", help="PNG or JPEG.")],
    model: ModelOption = "default",
    face: FaceOption = 1,
    neutral: NeutralOption = None,
    painted: PaintedOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Read how the faces in photographs are turned, and what they express, in a face model's controls."""
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
    else:
        readings = [(outcome.path.name, outcome.reading) for outcome in outcomes if outcome.reading is not None]
        table = Table("", *(name for name, _ in readings), "correlation with the truth")
        known = {name: f"{value:.2f}" for name, value in reliability(reading).items()}
        for name in ("yaw", "pitch", "roll"):
            table.add_row(name, *(f"{getattr(found, name):.1f}°" for _, found in readings), known.get(name, ""))
        for name in reading.controls:
            table.add_row(name, *(f"{found.controls[name]:.2f}" for _, found in readings), known[name])
        Console().print(table)
    if weak := unreliable(reading):
        note(f"photographs tell too little of {', '.join(weak)}: transfers leave them alone")
    several = [outcome for outcome in outcomes if outcome.reading is not None and len(outcome.reading.boxes) > 1]
    for outcome in several:
        assert outcome.reading is not None
        count = len(outcome.reading.boxes)
        note(f"{outcome.path} shows {count} faces: this is face {face}, by size; --face takes another")
    problems = [outcome.problem for outcome in outcomes if outcome.problem]
    for problem in problems[:-1]:
        fail(problem)
    if problems:
        raise fail(problems[-1], 1)


def transfer(
    picture: Annotated[Path, typer.Argument(help="PNG or JPEG.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")],
    seed: Annotated[int | None, typer.Option(min=0, help="Whom to paint, by number.")] = None,
    latent: Annotated[Path | None, typer.Option(help="Whom to paint: a latent's file, or a projector's .npz.")] = None,
    model: ModelOption = "default",
    neutral: NeutralOption = None,
    painted: PaintedOption = False,
    face: FaceOption = 1,
    part: Annotated[str, typer.Option(help="all, expression, turn, mouth, eyes or brows.")] = "all",
    strength: Annotated[float, typer.Option(min=0, max=2, help="How much of it; 1 is as much as is seen.")] = 1.0,
) -> None:
    """Paint somebody else as the face in a photograph looks: turned as it is, with its expression."""
    from effigy_protocol.transfer import PARTS

    from .. import api
    from ..commands.photos import PhotoError, read_for
    from ..faces import BundleError
    from ..faces.transfer import UnreadableModelError
    from ..generators import GeneratorFileError
    from ..landmarks import DetectorError
    from ..painting import PaintingError

    if (seed is None) == (latent is None):
        raise fail("whom to paint must be said once: with --seed N or with --latent FILE")
    if part not in PARTS:
        raise fail(f"unknown part {part!r}: use {', '.join(PARTS)}")
    if out.is_dir() or out.suffix.lower() != ".png":
        raise fail(f"{out} is not the name of a PNG file: --out names one")
    try:
        painter = api.load(model)
        person = api.person(seed, latent, model=painter)
        found = read_for(painter, person, picture, neutral, face, part, strength, painted=painted)
        api.paint(person, yaw=found.yaw, pitch=found.pitch, controls=found.controls, out=out, model=painter)
    except (BundleError, DetectorError, GeneratorFileError, PaintingError, PhotoError, UnreadableModelError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} cannot be written ({error}): choose another place with --out") from None
    if found.left_out:
        note(f"photographs tell too little of {', '.join(found.left_out)}: left as it is")
    console = Console(soft_wrap=True, highlight=False)
    asked = ", ".join(f"{name} {value:.2f}" for name, value in found.controls.items())
    console.print(f"{out}: yaw {found.yaw:.1f}°, pitch {found.pitch:.1f}°, {asked}", markup=False)


def capture(
    source: Annotated[str, typer.Argument(metavar="CAMERA|FILM", help="A film's file, or a camera by its number: 0.")],
    out: Annotated[
        Path | None, typer.Option(help="The CSV to write, as the Live Link Face app records. Without it: packets.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=1, max=240, help="Pictures a second; a film's own.")] = None,
    neutral: Annotated[
        str, typer.Option(help="Where the person is at rest: median, none (an average person), or a picture's number.")
    ] = "median",
    to: Annotated[str, typer.Option(help="Where Blender listens for packets: HOST:PORT.")] = "127.0.0.1:11111",
    seconds: Annotated[float | None, typer.Option(min=0.1, help="No more than so much of it.")] = None,
    model: ModelOption = "default",
    face: FaceOption = 1,
) -> None:
    """Capture a face from a film or a camera: to a CSV that importers read, or live to a Blender that listens.

    A film's expression and turn count from the median over it; live, from its first second. No picture is kept.
    """
    from ..capture import SourceError, open_camera, open_film
    from ..commands.capture import CaptureError, Performer, read_take, rest_of, stream, write_take
    from ..faces import BundleError, load_face_model, resolve_bundle
    from ..faces.transfer import UnreadableModelError
    from ..landmarks import DetectorError
    from ..landmarks.photo import PhotoReader

    host, _, port = to.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise fail(f"{to!r} is no address: --to takes HOST:PORT, for instance 127.0.0.1:11111")
    if out is not None and (out.is_dir() or out.suffix.lower() != ".csv"):
        raise fail(f"{out} is not the name of a CSV file: --out names one")
    try:
        painter = load_face_model(resolve_bundle(model))
        performer, reader = Performer(painter), PhotoReader(painter.generator.device)
        opened = open_camera(int(source), rate) if source.isdecimal() else open_film(Path(source), rate)
        if performer.left_out:
            note(f"photographs tell too little of {', '.join(performer.left_out)}: their shapes are as scored")
        if out is None:
            sent = stream(performer, reader, opened, (host, int(port)), face, seconds or float("inf"), note)
            errors.print(f"{sent} packets sent to {to}", markup=False, highlight=False)
            return
        with stage_progress() as progress:
            take = read_take(
                performer, reader, opened, face, seconds or float("inf"), lambda i, n: progress("read", i, n)
            )
        write_take(take, performer, rest_of(take, performer, neutral), out)
    except (BundleError, CaptureError, DetectorError, SourceError, UnreadableModelError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out or to} cannot be written ({error})") from None
    if take.faces > 1:
        note(f"{source} shows up to {take.faces} faces: face {face} by size is followed; --face takes another")
    missing = take.pictures - len(take.times)
    gaps = f", {missing} without a face are gaps" if missing else ""
    Console(soft_wrap=True, highlight=False).print(f"{out}: {len(take.times)} moments{gaps}", markup=False)
