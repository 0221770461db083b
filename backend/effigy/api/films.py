# SPDX-License-Identifier: Apache-2.0
"""Paints the frames of animations, and has Blender bake them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from effigy_protocol.messages import MatteName

from ..painting import Depth, Format, Keys, Layers, Moment, PaintingError, Shot, open_person, read_keys, turntable
from ..painting.blender import bake_blend
from ..painting.interpolation import between
from ..painting.sequences import Progress, Written, in_order, write_sequence
from .opening import Model, Person, load, opened


def film(
    keys: str | Path | Mapping[int, Moment] | None,
    who: Person | None = None,
    *,
    out: str | Path,
    frames: int = 96,
    fps: float = 24,
    depth: Depth | None = None,
    matte: MatteName | None = None,
    layers: Layers | None = None,
    model: Model = "default",
    progress: Progress = lambda done, of: None,
) -> Written:
    """Paints every frame of an animation to a folder of pictures or an .mp4.

    Args:
        keys: a .csv or .json file of keys, or moments by frame; None: a turntable of ``frames`` frames.
        who: the person; may be left out if the file of keys names one.
        out: an .mp4, or a folder. Its PNG files are those that Blender's Bake writes for the same keys, and painting
            resumes where an earlier run was stopped.
        frames: of a turntable.
        fps: frames per second of an .mp4.
        depth: as in ``paint``; None: that of the file of keys, or 8.
        matte: as in ``paint``; None: that of the file of keys, or "none".
        layers: write .exr files with these layers.
        model: the face model.
        progress: called with frames done and frames in all.
    """
    chosen = load(model)
    if keys is None:
        read = turntable(chosen, frames)
    else:
        read = Keys(dict(keys)) if isinstance(keys, Mapping) else read_keys(Path(keys))
    if who is None and read.latent is None:
        raise PaintingError("say who: these keys name no person, so give a seed or a latent")
    shown = open_person(chosen, latent=read.latent) if who is None else opened(chosen, who)
    read.check(chosen, shown)
    shots = {frame: Shot(shown, moment) for frame, moment in read.frames.items()}
    form = Format(depth or read.depth, matte or read.matte, layers)
    return write_sequence(chosen, shots, Path(out), fps, form, progress)


def interpolate(
    people: Iterable[Person],
    *,
    out: str | Path,
    seconds: float = 8,
    fps: float = 24,
    loop: bool = False,
    yaw: float | None = None,
    pitch: float | None = None,
    controls: Mapping[str, float] | None = None,
    keep: float = 1.0,
    depth: Depth = 8,
    matte: MatteName = "none",
    model: Model = "default",
    progress: Progress = lambda done, of: None,
) -> Written:
    """Paints ``seconds`` of a change from person to person, on a cubic spline through their latents.

    With ``loop`` it returns to the first. ``out`` is as in ``film``; ``yaw``, ``pitch``, ``controls``, ``keep``,
    ``depth`` and ``matte`` are as in ``paint`` and the same for all frames.
    """
    chosen = load(model)
    if not 0 < seconds * fps < 1e9:
        raise PaintingError(f"{seconds} seconds of {fps} frames each cannot be painted")
    passed = between(chosen, [opened(chosen, who) for who in people], round(seconds * fps), loop=loop)
    moment = Moment(yaw, pitch, controls or {}, keep)
    shots = in_order(Shot(each, moment) for each in passed)
    return write_sequence(chosen, shots, Path(out), fps, Format(depth, matte), progress)


def bake(
    blend: str | Path,
    *,
    blender: str | Path | None = None,
    save: bool = True,
    model: str | Path | None = None,
    matte: MatteName | None = None,
) -> None:
    """Bakes every face in a .blend with Blender, without a window; ``save`` keeps the .blend showing the pictures.

    ``blender`` is the program, which needs the add-on; None: that of the variable EFFIGY_BLENDER, the one on the path,
    or an installed one. ``model`` is the bundle that the backend serves. ``matte`` is used for all faces instead of
    each one's own.
    """
    program, bundle = None if blender is None else Path(blender), None if model is None else str(model)
    bake_blend(Path(blend), program, save=save, model=bundle, matte=matte)
