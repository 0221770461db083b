# SPDX-License-Identifier: Apache-2.0
"""``effigy paint | sheet | film | interpolate``: pictures without Blender; ``effigy bake``: with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console

from effigy_protocol.messages import MAX_POSE, MatteName, PassName

from .console import fail, stage_progress
from .options import ModelOption

_SEEDS = 1000  # of one list
_STEPS = 1000  # of one axis

SeedOption = Annotated[int | None, typer.Option(help="The person: a number, like Blender's Seed.")]
LatentOption = Annotated[
    Path | None,
    typer.Option(help="The person: a file with a latent, as an Identity carries it, or an .npz with an array w."),
]
TruncationOption = Annotated[
    float, typer.Option(help="How far a seed's person is from the mean face: 1 is unchanged, 0 the mean face.")
]
SeedsOption = Annotated[str, typer.Option(help="The people: numbers and ranges, for instance 1,5,9 or 0-24.")]
YawOption = Annotated[float | None, typer.Option(help="Degrees; > 0 turns the nose to the picture's right.")]
PitchOption = Annotated[float | None, typer.Option(help="Degrees; > 0 lifts the nose.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="A control or attribute, NAME=VALUE; may be repeated.")
]
KeepOption = Annotated[
    float, typer.Option(min=0, max=1, help="Likeness: how firmly looks are held while pose and expression change.")
]
DepthOption = Annotated[int, typer.Option(help="Bits per channel: 8 or 16.")]
MatteOption = Annotated[str, typer.Option(help="none: the whole picture; head: the head alone, cut out.")]
PassesOption = Annotated[
    str, typer.Option(help="Layers of an .exr, separated by commas: normal, depth, albedo, light.")
]
DistanceOption = Annotated[float, typer.Option(help="Metres from the camera to the head, for an .exr's depth.")]
FpsOption = Annotated[float, typer.Option(help="Frames per second of an .mp4.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps (a Mac's GPU: untested).")]
FolderOption = Annotated[Path, typer.Option("--out", "-o", help="A folder of PNG files, like a bake's, or an .mp4.")]
PictureOption = Annotated[Path, typer.Option("--out", "-o", help="The PNG file to write (for 'paint', also .exr).")]


def add_to(app: typer.Typer) -> None:
    """Adds these commands to ``app``."""
    for command in (paint, sheet, film, interpolate, bake):
        app.command()(command)


def paint(
    out: PictureOption,
    seed: SeedOption = None,
    latent: LatentOption = None,
    yaw: YawOption = None,
    pitch: PitchOption = None,
    sets: SetOption = None,
    keep: KeepOption = 1.0,
    truncation: TruncationOption = 0.7,
    depth: DepthOption = 8,
    matte: MatteOption = "none",
    passes: PassesOption = "",
    distance: DistanceOption = 0.0,
    model: ModelOption = "default",
    device: DeviceOption = "auto",
) -> None:
    """Paint one exact picture, the same file that Blender bakes."""
    from .. import api

    with _failures():
        chosen = api.load(model, device)
        who = api.person(seed, latent, truncation=truncation, model=chosen)
        api.paint(
            who, yaw=yaw, pitch=pitch, controls=read_sets(sets), keep=keep, depth=_depth(depth), matte=_matte(matte),
            layers=_layers(out.suffix.lower() == ".exr", passes, distance), out=out, model=chosen,
        )  # fmt: skip
        _echo(out)


def sheet(
    out: PictureOption,
    seeds: SeedsOption = "0-15",
    yaw: Annotated[
        str | None, typer.Option(help="Degrees: one value, FROM:TO:COUNT, or values separated by commas.")
    ] = None,
    pitch: Annotated[str | None, typer.Option(help="As --yaw.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="A control, an attribute or keep, NAME=VALUES as for --yaw; may be repeated."),
    ] = None,
    tile: Annotated[int | None, typer.Option(min=8, max=4096, help="Width of each picture, in pixels.")] = None,
    captions: Annotated[bool, typer.Option(help="Write a caption above each picture.")] = True,
    matte: MatteOption = "none",
    truncation: TruncationOption = 0.7,
    model: ModelOption = "default",
    device: DeviceOption = "auto",
) -> None:
    """Paint many people, turns or expressions side by side."""
    from .. import api

    with _failures():
        asked = {"yaw": yaw, "pitch": pitch} | dict(_pair(each) for each in sets or [])
        axes = {name: _values(name, text) for name, text in asked.items() if text is not None}
        numbers = _seeds(seeds)
        chosen = api.load(model, device)
        people = {f"seed {number}": api.person(number, truncation=truncation, model=chosen) for number in numbers}
        turn = {name: axes.pop(name, None) for name in ("yaw", "pitch")}
        api.sheet(
            people, **turn, controls=axes, tile=tile, captions=captions, matte=_matte(matte), out=out, model=chosen
        )
        _echo(out)


def film(
    out: FolderOption,
    keys: Annotated[
        Path | None,
        typer.Argument(
            help="A .csv with columns frame, yaw, pitch, keep, controls, or a .json like a bake's frames.json."
        ),
    ] = None,
    turntable: Annotated[
        int | None, typer.Option(help="Instead of keys: look from side to side in this many frames.")
    ] = None,
    seed: SeedOption = None,
    latent: LatentOption = None,
    truncation: TruncationOption = 0.7,
    fps: FpsOption = 24,
    depth: Annotated[int | None, typer.Option(help="Bits per channel: 8 or 16; by default those of the keys.")] = None,
    matte: Annotated[
        str | None, typer.Option(help="none: the whole picture; head: the head alone; by default that of the keys.")
    ] = None,
    exr: Annotated[
        bool, typer.Option("--exr", help="OpenEXR files instead of PNG: linear, colours times alpha.")
    ] = False,
    passes: PassesOption = "",
    distance: DistanceOption = 0.0,
    model: ModelOption = "default",
    device: DeviceOption = "auto",
) -> None:
    """Paint every frame of a file of keys: the files of Blender's bake, or a film. It resumes where it was stopped."""
    from .. import api

    if (keys is None) == (turntable is None):
        raise fail("give either a file of keys, or --turntable with a number of frames")
    with _failures(), stage_progress() as progress:
        chosen = api.load(model, device)
        who = None if seed is None and latent is None else api.person(seed, latent, truncation=truncation, model=chosen)
        written = api.film(
            keys, who, out=out, frames=turntable or 0, fps=fps, depth=None if depth is None else _depth(depth),
            matte=None if matte is None else _matte(matte), layers=_layers(exr, passes, distance),
            model=chosen, progress=lambda done, of: progress("paint", done, of),
        )  # fmt: skip
    _echo(written)


def interpolate(
    out: FolderOption,
    seeds: SeedsOption = "0-3",
    seconds: Annotated[float, typer.Option(help="Its length in seconds.")] = 8,
    loop: Annotated[bool, typer.Option(help="Return to the first person at the end.")] = False,
    yaw: YawOption = None,
    pitch: PitchOption = None,
    sets: SetOption = None,
    keep: KeepOption = 1.0,
    truncation: TruncationOption = 0.7,
    fps: FpsOption = 24,
    depth: DepthOption = 8,
    matte: MatteOption = "none",
    model: ModelOption = "default",
    device: DeviceOption = "auto",
) -> None:
    """Paint a transition from person to person, on a smooth curve through their latents."""
    from .. import api

    with _failures(), stage_progress() as progress:
        numbers = _seeds(seeds)
        chosen = api.load(model, device)
        written = api.interpolate(
            [api.person(number, truncation=truncation, model=chosen) for number in numbers],
            out=out, seconds=seconds, fps=fps, loop=loop,
            yaw=yaw, pitch=pitch, controls=read_sets(sets), keep=keep, depth=_depth(depth), matte=_matte(matte),
            model=chosen, progress=lambda done, of: progress("paint", done, of),
        )  # fmt: skip
    _echo(written)


def bake(
    blend: Annotated[Path, typer.Argument(metavar="FILE.blend", help="A scene with faces in it.")],
    blender: Annotated[
        Path | None,
        typer.Option(help="The Blender to run; by default EFFIGY_BLENDER's, the one on the path, or an installed one."),
    ] = None,
    save: Annotated[bool, typer.Option(help="Save the .blend, which then shows the pictures.")] = True,
    model: Annotated[
        str | None, typer.Option(help="The faces' bundle; by default the one in the add-on's preferences.")
    ] = None,
    matte: Annotated[str | None, typer.Option(help="none or head, for all faces; by default each face's own.")] = None,
) -> None:
    """Have Blender bake every face of a .blend, without a window, with this Effigy as its backend."""
    from ..painting import PaintingError
    from ..painting.blender import bake_blend

    try:
        bake_blend(blend, blender, save=save, model=model, matte=None if matte is None else _matte(matte), report=_echo)
    except PaintingError as error:
        raise fail(error) from None


@contextmanager
def _failures() -> Iterator[None]:
    """Ends the command with what is wrong."""
    from ..faces import BundleError
    from ..generators import GeneratorFileError
    from ..painting import PaintingError

    try:
        yield
    except (BundleError, GeneratorFileError, PaintingError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"it cannot be written ({error}): choose another place with --out") from None


def read_sets(given: list[str] | None) -> dict[str, float]:
    """Returns each control's value from what --set was given. Raises typer.Exit."""
    return {name: _number(name, text) for name, text in (_pair(each) for each in given or [])}


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise fail(f"--set {text[:60]!r} is not NAME=VALUE, for instance jawOpen=0.4")
    return name, value


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise fail(f"{name}: {text[:60]!r} is no number") from None


def _values(name: str, text: str) -> list[float]:
    """``0.5``, ``-30:30:5`` (from, to, how many) or ``-10,0,20``."""
    import numpy as np

    if ":" not in text:
        return [_number(name, each) for each in text.split(",")]
    parts = [_number(name, each) for each in text.split(":")]
    if len(parts) != 3 or not 1 <= parts[2] <= _STEPS or parts[2] != int(parts[2]):
        raise fail(f"{name}: {text[:60]!r} is not FROM:TO:COUNT, with a count of 1 to {_STEPS}")
    return [float(value) for value in np.linspace(parts[0], parts[1], int(parts[2]))]


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:-(\d{1,10}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= last - first < _SEEDS - len(found):
            raise fail(f"--seeds {text[:60]!r}: name at most {_SEEDS} numbers and ranges, for instance 1,5,9 or 0-24")
        found += range(first, last + 1)
    return found


def _depth(bits: int) -> Any:
    if bits not in (8, 16):
        raise fail(f"--depth {bits}: a channel has 8 or 16 bits")
    return bits


def _matte(name: str) -> Any:
    if name not in (known := get_args(MatteName)):
        raise fail(f"--matte {name[:60]!r} is unknown: choose {' or '.join(known)}")
    return name


def _layers(is_exr: bool, passes: str, distance: float) -> Any:
    from ..painting import Layers

    names: Any = tuple(name.strip() for name in passes.split(",") if name.strip())
    if not is_exr:
        if names:
            raise fail("--passes are layers of OpenEXR files: end --out with .exr, or give --exr")
        return None
    if unknown := sorted(set(names) - set(get_args(PassName))):
        raise fail(f"--passes {unknown[0][:60]!r} is unknown: there are {', '.join(get_args(PassName))}")
    if len(set(names)) < len(names) or not abs(distance) <= MAX_POSE:
        raise fail(f"--passes {passes[:60]} --distance {distance}: name each pass once, and a distance in metres")
    return Layers(names, distance=distance)


def _echo(text: object) -> None:
    Console(soft_wrap=True, highlight=False).print(str(text), markup=False)
