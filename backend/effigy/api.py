# SPDX-License-Identifier: Apache-2.0
"""The Python interface, as ``import effigy`` offers it. Most functions are also commands of the command line.

A ``model`` is "default", the path of a bundle, or what ``load`` returned. A person is a seed, or what ``person``
returned. Functions raise PaintingError for what cannot be painted, BundleError for a model that cannot be read, and
OSError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from effigy_protocol.messages import Alignment, MatteName
from effigy_protocol.png import annotate

from .faces import FaceModel, Identity, load_face_model, resolve_bundle
from .faces.person import read_person, write_person
from .files import whole_file
from .landmarks.photo import PhotoReader
from .painting import (
    Depth,
    Keys,
    Layers,
    Moment,
    PaintingError,
    Shot,
    open_person,
    paint_shots,
    read_keys,
    read_latent,
    turntable,
)
from .painting.blender import bake_blend
from .painting.interpolation import between
from .painting.outputs import check_apart, check_folder, check_suffix
from .painting.pasted import write_pasted
from .painting.sequences import Progress, Written, in_order, write_sequence
from .painting.sheets import paint_sheet
from .people import ALIGNMENTS, Made, finish, make_person, place_of, told
from .people.numbering import beside
from .people.stages import Unfinished
from .picture_files import read_picture_file
from .service.encode import png

__all__ = [
    "Layers", "PaintingError", "bake", "film", "interpolate", "load", "paint", "paste", "paste_frames", "person",
    "photo", "sheet",
]  # fmt: skip

Model: TypeAlias = str | Path | FaceModel
Person: TypeAlias = int | Identity
Values: TypeAlias = float | Sequence[float]

_EXR = ".exr"
_MODELS = 2  # kept in memory


def load(model: Model = "default", device: str = "auto") -> FaceModel:
    """Loads a face model: "default", or the folder of a bundle; the last two are kept for further calls.

    ``device`` is auto, cpu, cuda or mps. Raises BundleError.
    """
    if isinstance(model, FaceModel):
        return model
    folder = resolve_bundle(str(model))
    try:
        changed = (folder / "model.json").stat().st_mtime_ns
    except OSError:
        changed = 0
    return _load(folder, device, changed)


@lru_cache(maxsize=_MODELS)
def _load(folder: Path, device: str, changed: int) -> FaceModel:
    return load_face_model(folder, device)


def person(
    seed: int | None = None,
    latent: bytes | str | Path | None = None,
    *,
    truncation: float = 0.7,
    model: Model = "default",
) -> Identity:
    """Opens a person: by ``seed``, the same number as in Blender, or by ``latent``.

    A latent is the bytes of an identity or the path of a file that holds them; or the path of an .npz with an array w,
    [w_dim] or [num_ws, w_dim]. ``truncation`` is ψ for a seed: 1 leaves the person as drawn, 0 gives the mean face.
    """
    chosen = load(model)
    if isinstance(latent, (str, Path)):
        latent = read_latent(Path(latent), chosen)
    return open_person(chosen, seed, latent, truncation)


def paint(
    who: Person = 0,
    *,
    yaw: float | None = None,
    pitch: float | None = None,
    controls: Mapping[str, float] | None = None,
    keep: float = 1.0,
    depth: Depth = 8,
    matte: MatteName = "none",
    layers: Layers | None = None,
    out: str | Path | None = None,
    model: Model = "default",
) -> NDArray[Any]:
    """Paints one exact picture, [H, W, 3], or [H, W, 4] with a matte.

    Args:
        who: the person.
        yaw: degrees to the picture's right; None: the person's own.
        pitch: degrees up; None: the person's own.
        controls: offsets from the person's own expression, and values of attributes, by name.
        keep: the likeness, 0 … 1: how firmly looks are held while pose and expression change.
        depth: 8 gives uint8, 16 gives uint16.
        matte: "head" cuts the head out, with straight alpha.
        layers: what an .exr holds besides the picture.
        out: a file to write as well: a .png, with the same bytes as Blender's Bake gives, or an .exr.
        model: the face model.

    Returns:
        The picture, which is linear and float32 if ``out`` is an .exr or ``layers`` are given.
    """
    chosen = load(model)
    if layers is None and out is not None and Path(out).suffix.lower() == _EXR:
        layers = Layers()
    shot = Shot(_person(chosen, who), Moment(yaw, pitch, controls or {}, keep))
    painted = next(paint_shots(chosen, [shot], depth, matte, layers))
    if out is not None:
        check_suffix(Path(out), ".png" if layers is None else _EXR)
        with whole_file(Path(out)) as temporary:
            temporary.write_bytes(painted.file())
    return painted.picture


def sheet(
    people: Iterable[Person] | Mapping[str, Person] = (0,),
    *,
    yaw: Values | None = None,
    pitch: Values | None = None,
    controls: Mapping[str, Values] | None = None,
    tile: int | None = None,
    captions: bool = True,
    matte: MatteName = "none",
    out: str | Path | None = None,
    model: Model = "default",
) -> NDArray[np.uint8]:
    """Paints a contact sheet, uint8 [H, W, 3], with a row or block of rows for each person.

    At most two of yaw, pitch and controls may have several values, which give the other axes. ``people`` may be named,
    for captions. ``tile`` is the width of each picture in pixels, None its own. ``matte`` "head" puts heads on white.
    ``out`` is a PNG file to write as well.
    """
    chosen = load(model)
    asked = {"yaw": yaw, "pitch": pitch, **(controls or {})}
    axes = {
        name: [values] if isinstance(values, (int, float)) else list(values)
        for name, values in asked.items()
        if values is not None
    }
    named = people if isinstance(people, Mapping) else {_label(who): who for who in people}
    opened = {label: _person(chosen, who) for label, who in named.items()}
    picture = paint_sheet(chosen, opened, axes, tile, captions=captions, matte=matte)
    if out is not None:
        check_suffix(Path(out), ".png")
        with whole_file(Path(out)) as temporary:
            iio.imwrite(temporary, picture, extension=".png")
    return picture


def photo(
    picture: str | Path | bytes,
    *,
    out: str | Path | None = None,
    face: int = 1,
    align: Alignment = "auto",
    tune: bool = False,
    keep_picture: bool = False,
    preview: str | Path | None = None,
    model: Model = "default",
    progress: Callable[[float], None] = lambda share: None,
) -> Made:
    """Makes a person of a face in a picture; ``identity`` of the result can be painted.

    One that is stopped goes on where it was when the same is asked for again. Until then, what was found is beside
    ``out`` in NAME.person.unfinished.

    Args:
        picture: a PNG or JPEG file's path, or its bytes.
        out: a NAME.person to write.
        face: which face, counted from the largest, 1.
        align: how the face is cut out: as the "model"'s pictures or as those of "ffhq" are, the "whole" picture, or
            "auto", as the model's unless the picture is already cut like that.
        tune: change the generator for this person, which takes minutes and paints them more exactly.
        keep_picture: put the picture into ``out``, so that ``paste`` needs no other file.
        preview: a PNG to write, of the face as it was cut out and as it is painted, side by side.
        model: the face model.
        progress: called with the share that is done, 0 … 1.

    Raises:
        Besides PaintingError, what ``people.make_person`` raises.
    """
    if align not in ALIGNMENTS:
        raise PaintingError(f"a face is cut out as {', '.join(ALIGNMENTS)}, not as {align!r}")
    if preview is not None:  # checked before minutes of work
        check_suffix(Path(preview), ".png")
    for written in (out, preview):
        check_folder(written)
        check_apart(written, picture)
    chosen = load(model)
    data, name = (picture, "the picture") if isinstance(picture, bytes) else _picture_file(Path(picture))
    reader = PhotoReader(chosen.generator.device)
    kept = None if out is None else Unfinished(Path(out))
    steps = make_person(chosen, reader, data, face, align, tuned=tune, keep_picture=keep_picture, name=name, kept=kept)
    made = finish(steps, lambda step: progress(step.share))
    progress(1.0)
    if out is not None and kept is not None:
        write_person(made.person, Path(out))
        kept.done()
    if preview is not None:
        shown = next(paint_shots(chosen, [Shot(made.identity)])).picture[..., :3]
        with whole_file(Path(preview)) as temporary:
            iio.imwrite(temporary, beside(made.aligned.pixels(), shown), extension=".png")
    return made


def paste(
    person: str | Path | Identity,
    picture: str | Path | None = None,
    *,
    yaw: float | None = None,
    pitch: float | None = None,
    controls: Mapping[str, float] | None = None,
    keep: float = 1.0,
    out: str | Path | None = None,
    model: Model = "default",
) -> NDArray[np.uint8]:
    """Puts a posed person back into the picture that they were made from; returns uint8 [H, W, 3] at full size.

    ``picture`` is that picture's file; it may be left out if the person's file holds it. The pose is given as in
    ``paint``, and ``out`` is a PNG file to write as well. Outside of the square that the face was cut out of, every
    pixel stays as it was. Raises, besides PaintingError, what ``people.place_of`` raises.
    """
    check_apart(out, picture)
    if out is not None:
        check_suffix(Path(out), ".png")
    chosen = load(model)
    who = person if isinstance(person, Identity) else chosen.open_person(read_person(Path(person)))
    place = place_of(who, None if picture is None else _picture_file(Path(picture))[0])
    shots = [Shot(who), Shot(who, Moment(yaw, pitch, controls or {}, keep))]
    before, after = (painted.picture[..., :3] for painted in paint_shots(chosen, shots))
    result = place.paste(PhotoReader(chosen.generator.device), before, after)
    if out is not None:
        with whole_file(Path(out)) as temporary:
            temporary.write_bytes(annotate(png(result), told(who)))
    return result


def paste_frames(
    keys: str | Path | Mapping[int, Moment],
    person: str | Path | Identity | None = None,
    picture: str | Path | None = None,
    *,
    out: str | Path,
    model: Model = "default",
    progress: Progress = lambda done, of: None,
) -> Written:
    """Does what ``paste`` does for every frame of ``keys``, which are given as in ``film``.

    ``out`` is a folder, which gets a PNG file for each frame; files that are there and up to date are kept. ``person``
    may be left out if the file of keys names one. Raises, besides PaintingError, what ``people.place_of`` raises.
    """
    chosen = load(model)
    read = Keys(dict(keys)) if isinstance(keys, Mapping) else read_keys(Path(keys))
    if isinstance(person, Identity):
        who = person
    elif person is not None:
        who = chosen.open_person(read_person(Path(person)))
    elif read.latent is not None:
        who = open_person(chosen, latent=read.latent)
    else:
        raise PaintingError("say who: these keys name no person, so give a NAME.person")
    read.check(chosen, who)
    place = place_of(who, None if picture is None else _picture_file(Path(picture))[0])
    shots = {frame: Shot(who, moment) for frame, moment in read.frames.items()}
    return write_pasted(chosen, place, who, shots, Path(out), progress)


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
            goes on there where it was stopped.
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
    shown = open_person(chosen, latent=read.latent) if who is None else _person(chosen, who)
    read.check(chosen, shown)
    shots = {frame: Shot(shown, moment) for frame, moment in read.frames.items()}
    return write_sequence(chosen, shots, Path(out), fps, depth or read.depth, progress, matte or read.matte, layers)


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
    passed = between(chosen, [_person(chosen, who) for who in people], round(seconds * fps), loop=loop)
    moment = Moment(yaw, pitch, controls or {}, keep)
    shots = in_order(Shot(each, moment) for each in passed)
    return write_sequence(chosen, shots, Path(out), fps, depth, progress, matte)


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


def _person(model: FaceModel, who: Person) -> Identity:
    return who if isinstance(who, Identity) else open_person(model, who)


def _label(who: Person) -> str:
    return f"seed {who}" if isinstance(who, int) else who.key[:8]


def _picture_file(path: Path) -> tuple[bytes, str]:
    return read_picture_file(path), str(path)
