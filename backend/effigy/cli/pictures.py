# SPDX-License-Identifier: Apache-2.0
"""``effigy paint | sheet | film | interpolate``: pictures without Blender; ``effigy bake``: with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from .console import Console, fail, stage_progress
from .options import (
    DepthOption,
    DeviceOption,
    KeepOption,
    LatentOption,
    MatteOption,
    ModelOption,
    PitchOption,
    SeedOption,
    SetOption,
    TruncationOption,
    YawOption,
)
from .values import read_axes, read_depth, read_layers, read_matte, read_seeds, read_sets

SeedsOption = Annotated[str, typer.Option(help="The people: numbers and ranges, for instance 1,5,9 or 0-24.")]
PassesOption = Annotated[
    str, typer.Option(help="Layers of an .exr, separated by commas: normal, depth, albedo, light.")
]
DistanceOption = Annotated[float, typer.Option(help="Metres from the camera to the head, for an .exr's depth.")]
FpsOption = Annotated[float, typer.Option(help="Frames per second of an .mp4.")]
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
            who, yaw=yaw, pitch=pitch, controls=read_sets(sets), keep=keep, depth=read_depth(depth),
            matte=read_matte(matte), layers=read_layers(out.suffix.lower() == ".exr", passes, distance),
            out=out, model=chosen,
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
        axes = read_axes(yaw, pitch, sets)
        numbers = read_seeds(seeds, once=True)
        chosen = api.load(model, device)
        people = {f"seed {number}": api.person(number, truncation=truncation, model=chosen) for number in numbers}
        turn = {name: axes.pop(name, None) for name in ("yaw", "pitch")}
        api.sheet(
            people, **turn, controls=axes, tile=tile, captions=captions, matte=read_matte(matte), out=out, model=chosen
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
            keys, who, out=out, frames=turntable or 0, fps=fps, depth=None if depth is None else read_depth(depth),
            matte=None if matte is None else read_matte(matte), layers=read_layers(exr, passes, distance),
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
        numbers = read_seeds(seeds)
        chosen = api.load(model, device)
        written = api.interpolate(
            [api.person(number, truncation=truncation, model=chosen) for number in numbers],
            out=out, seconds=seconds, fps=fps, loop=loop,
            yaw=yaw, pitch=pitch, controls=read_sets(sets), keep=keep, depth=read_depth(depth), matte=read_matte(matte),
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
        bake_blend(
            blend, blender, save=save, model=model, matte=None if matte is None else read_matte(matte), report=_echo
        )
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


def _echo(text: object) -> None:
    Console(soft_wrap=True, highlight=False).print(str(text), markup=False)
