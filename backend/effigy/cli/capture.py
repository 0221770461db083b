# SPDX-License-Identifier: Apache-2.0
"""``effigy capture``: films and cameras."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from .console import fail, note, stage_progress
from .options import ModelOption
from .photos import FaceOption


def capture(
    source: Annotated[
        str, typer.Argument(metavar="CAMERA|FILM", help="A film's file, or a camera by its number: 0.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="The CSV to write, as the Live Link Face app records. Without it: packets.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1, max=240, help="Pictures per second; by default the film's own.")
    ] = None,
    neutral: Annotated[
        str,
        typer.Option(
            help="What counts as the person at rest: median, none (an average person), or a picture's number."
        ),
    ] = "median",
    to: Annotated[str, typer.Option(help="Where Blender listens for packets: HOST:PORT.")] = "127.0.0.1:11111",
    seconds: Annotated[float | None, typer.Option(min=0.1, help="At most this many seconds of it.")] = None,
    model: ModelOption = "default",
    face: FaceOption = 1,
    cameras: Annotated[bool, typer.Option("--cameras", help="List the cameras of this computer and exit.")] = False,
    report: Annotated[
        bool, typer.Option("--report", help="For programs: report progress in lines of JSON; end when the input ends.")
    ] = False,
) -> None:
    """Capture a face from a film or a camera: to a CSV that importers read, or live to a Blender that listens.

    A film's expression and turn count from the median over it; live, from its first second. No picture is kept.
    """
    from ..capture import SourceError, list_cameras, open_camera, open_film
    from ..commands.capture import (
        Audience,
        CaptureError,
        Performer,
        check_neutral,
        read_take,
        rest_of,
        stream,
        write_take,
    )  # fmt: skip
    from ..commands.capture_report import Report, Terminal
    from ..faces import BundleError, load_face_model, resolve_bundle
    from ..faces.transfer import UnreadableModelError
    from ..landmarks import DetectorError
    from ..landmarks.photo import PhotoReader

    if cameras:
        try:
            print(json.dumps([{"number": camera.number, "name": camera.name} for camera in list_cameras()]))
        except SourceError as error:
            raise fail(error) from None
        return
    host, _, port = to.rpartition(":")
    if not source:
        raise fail("what to capture is not said: give a film's file, or a camera by its number (--cameras lists them)")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise fail(f"{to!r} is no address: --to takes HOST:PORT, for instance 127.0.0.1:11111")
    if out is not None and (out.is_dir() or out.suffix.lower() != ".csv"):
        raise fail(f"{out} is not the name of a CSV file: --out names one")
    length = seconds or float("inf")
    try:
        check_neutral(neutral)
        painter = load_face_model(resolve_bundle(model))
        performer, reader = Performer(painter), PhotoReader(painter.generator.device)
        opened = open_camera(int(source), rate) if source.isdecimal() else open_film(Path(source), rate)
        with nullcontext() if report or out is None else stage_progress() as progress:
            audience: Audience
            if report:
                audience = Report(sys.stdout)
                opened = audience.until_left(opened, sys.stdin)
            else:
                audience = Terminal(note, progress)
            audience.begun(opened, performer.left_out)
            if out is None:
                sent = stream(performer, reader, opened, (host, int(port)), face, length, neutral, audience)
                audience.said(f"{sent} packets sent to {to}")
                return
            take = read_take(performer, reader, opened, face, length, audience)
        write_take(take, performer, rest_of(take, performer, neutral), out)
        audience.written(take, out, performer.left_out)
    except (BundleError, CaptureError, DetectorError, SourceError, UnreadableModelError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out or to} cannot be written ({error})") from None
