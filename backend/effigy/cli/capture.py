# SPDX-License-Identifier: Apache-2.0
"""``effigy capture``: films and cameras."""

from __future__ import annotations

import json
import re
import socket
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from effigy_protocol.errors import SHOWN
from effigy_protocol.files import is_folder

from .console import fail, note, stage_progress
from .options import ModelOption
from .photos import FaceOption

_ADDRESS = re.compile(r"(?P<host>.+):(?P<port>\d{1,5})")


def _read_address(to: str) -> tuple[str, int]:
    """Reads --to: a host that may be a name, and its port. Raises typer.Exit, after saying why."""
    found = _ADDRESS.fullmatch(to)
    try:
        if found is not None and found["host"].encode("idna") and 0 < int(found["port"]) < 65536:
            return found["host"], int(found["port"])
    except UnicodeError:  # no host has such a name, and a socket would raise errors of several kinds
        pass
    raise fail(f"{to[:SHOWN]!r} is no address: --to takes HOST:PORT, for instance 127.0.0.1:11111")


def _look_up(address: tuple[str, int]) -> tuple[str, int]:
    """Returns the address with its host as a number, so that no packet waits for a name.

    Raises typer.Exit, after saying why, for a host that packets cannot be sent to.
    """
    try:
        return socket.getaddrinfo(*address, socket.AF_INET, socket.SOCK_DGRAM)[0][4][:2]  # type: ignore[return-value]
    except OSError as error:
        raise fail(
            f"{address[0][:SHOWN]!r} is no host with an IPv4 address, as Blender listens on ({error.strerror}): "
            "--to takes HOST:PORT, for instance 127.0.0.1:11111"
        ) from None


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
        NUMBER,
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
    from ..painting import PaintingError
    from ..painting.outputs import check_place

    if cameras:
        try:
            print(json.dumps([{"number": camera.number, "name": camera.name} for camera in list_cameras()]))
        except SourceError as error:
            raise fail(error) from None
        return
    if not source:
        raise fail("what to capture is not said: give a film's file, or a camera by its number (--cameras lists them)")
    address = _read_address(to)
    if out is not None and (is_folder(out) or out.suffix.lower() != ".csv"):
        raise fail(f"{out} is not the name of a CSV file: --out names one")
    length = seconds or float("inf")
    try:
        check_place(out)
        check_neutral(neutral)
        if out is None:
            address = _look_up(address)
        painter = load_face_model(resolve_bundle(model))
        performer, reader = Performer(painter), PhotoReader(painter.generator.device)
        opened = open_camera(int(source), rate) if NUMBER.fullmatch(source) else open_film(Path(source), rate)
        with nullcontext() if report or out is None else stage_progress() as progress:
            audience: Audience
            if report:
                audience = Report(sys.stdout)
                opened = audience.until_left(opened, sys.stdin)
            else:
                audience = Terminal(note, progress)
            audience.begun(opened, performer.left_out)
            if out is None:
                sent = stream(performer, reader, opened, address, face, length, neutral, audience)
                audience.said(f"{sent} packets sent to {to}")
                return
            take = read_take(performer, reader, opened, face, length, audience)
        write_take(take, performer, rest_of(take, performer, neutral), out)
        audience.written(take, out, performer.left_out)
    except (BundleError, CaptureError, DetectorError, PaintingError, SourceError, UnreadableModelError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out or to} cannot be written ({error})") from None
