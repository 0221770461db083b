# SPDX-License-Identifier: Apache-2.0
"""The Python interface, as ``import effigy`` offers it. Each verb is a verb of the command line too.

Wherever a ``model`` is asked for: "default", the path of a bundle, or what ``load`` returned. Wherever a person is: a
seed, or what ``person`` returned. Verbs raise PaintingError, BundleError of a model that cannot be read, and OSError.
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
from .painting.sequences import Progress, Written, in_order, write_sequence
from .painting.sheets import paint_sheet
from .people import ALIGNMENTS, Made, make_person, paste_person, told
from .picture_files import read_picture_file
from .service.encode import png

__all__ = [
    "Layers", "PaintingError", "bake", "film", "interpolate", "load", "paint", "paste", "person", "photo", "sheet",
]  # fmt: skip

Model: TypeAlias = str | Path | FaceModel
Person: TypeAlias = int | Identity
Values: TypeAlias = float | Sequence[float]

_EXR = ".exr"
_MODELS = 2  # that stay in memory


def load(model: Model = "default", device: str = "auto") -> FaceModel:
    """A face model: "default", or the folder of a bundle. ``device``: auto, cpu, cuda, mps. Kept for the next call."""
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
    """The person of a ``seed``, as in Blender's Seed, or of a ``latent``: its bytes, or the path of a file with it.

    A file holds those bytes, or is an .npz with an array w, [w_dim] or [num_ws, w_dim]. ``truncation`` draws a seed's
    person towards the mean face: 1 not at all, 0 entirely.
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
    depth: Depth = 8,
    matte: MatteName = "none",
    layers: Layers | None = None,
    out: str | Path | None = None,
    model: Model = "default",
) -> NDArray[Any]:
    """One exact picture [H, W, 3, or 4 with a matte], uint8, or uint16 with a ``depth`` of 16.

    ``yaw`` and ``pitch`` are degrees, None the person's own; ``controls`` offsets from their expression, by name.
    ``matte``: "head" cuts the head out, with straight alpha.
    ``out``: a PNG file to write too, whose bytes are those that Blender bakes for the same; or an .exr, which may have
    more ``layers`` than the picture. The picture is then linear and float32.
    """
    chosen = load(model)
    if layers is None and out is not None and Path(out).suffix.lower() == _EXR:
        layers = Layers()
    shot = Shot(_person(chosen, who), Moment(yaw, pitch, controls or {}))
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
    """A contact sheet [H, W, 3]: people downwards, and at most two of yaw, pitch and controls with several values.

    ``people`` may have names, which captions then tell. ``tile``: the width of each picture, in pixels.
    ``matte``: "head" puts heads on white instead of their backgrounds. ``out``: a PNG file to write too.
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
    """Makes a person of ``face`` (1 is the largest) in a picture: a PNG's or JPEG's path, or its bytes.

    ``align`` and ``tune`` as the command line says. ``out``: a NAME.person to write, with the picture in it if
    ``keep_picture``; ``preview``: a PNG of the face as it was cut out and as it is painted, side by side. The result's
    ``identity`` can be painted. Raises what ``people.make_person`` raises.
    """
    if align not in ALIGNMENTS:
        raise PaintingError(f"a face is cut out as {', '.join(ALIGNMENTS)}, not as {align!r}")
    if preview is not None:  # all this before minutes of work
        check_suffix(Path(preview), ".png")
    for written in (out, preview):
        check_folder(written)
        check_apart(written, picture)
    chosen = load(model)
    data, name = (picture, "the picture") if isinstance(picture, bytes) else _picture_file(Path(picture))
    reader = PhotoReader(chosen.generator.device)
    steps = make_person(chosen, reader, data, face, align, tuned=tune, keep_picture=keep_picture, name=name)
    try:
        while True:
            progress(next(steps).share)
    except StopIteration as end:
        made: Made = end.value
    progress(1.0)
    if out is not None:
        write_person(made.person, Path(out))
    if preview is not None:
        shown = next(paint_shots(chosen, [Shot(made.identity)])).picture[..., :3]
        with whole_file(Path(preview)) as temporary:
            iio.imwrite(temporary, np.concatenate([made.aligned.pixels(), shown], axis=1), extension=".png")
    return made


def paste(
    person: str | Path | Identity,
    picture: str | Path | None = None,
    *,
    yaw: float | None = None,
    pitch: float | None = None,
    controls: Mapping[str, float] | None = None,
    out: str | Path | None = None,
    model: Model = "default",
) -> NDArray[np.uint8]:
    """The picture that a person was made from, [H, W, 3] at full size, with the face posed as in ``paint``.

    ``picture``: its file, unless the person's own holds it. Outside of the square that the face was cut out of, it is
    the picture, bit for bit. Raises what ``people.paste_person`` raises.
    """
    check_apart(out, picture)
    chosen = load(model)
    who = person if isinstance(person, Identity) else chosen.open_person(read_person(Path(person)))
    data = None if picture is None else _picture_file(Path(picture))[0]
    shots = [Shot(who), Shot(who, Moment(yaw, pitch, controls or {}))]
    before, after = (painted.picture[..., :3] for painted in paint_shots(chosen, shots))
    result = paste_person(PhotoReader(chosen.generator.device), who, data, before, after)
    if out is not None:
        check_suffix(Path(out), ".png")
        with whole_file(Path(out)) as temporary:
            temporary.write_bytes(annotate(png(result), told(who)))
    return result


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
    """Paints every frame of ``keys``: a .csv or .json file, or moments by frame; None: a turntable of ``frames``.

    ``out``: a folder of PNG files, which are those that Blender's Bake writes for the same keys and which go on where
    they were stopped, or an .mp4. ``who`` may be left out where the file of keys names its person; ``depth`` and
    ``matte`` where the keys are a bake's own. With ``layers`` the folder's files are .exr.
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
    depth: Depth = 8,
    matte: MatteName = "none",
    model: Model = "default",
    progress: Progress = lambda done, of: None,
) -> Written:
    """From person to person, on a smooth curve through their latents; with ``loop`` back to the first.

    ``out`` as in ``film``; ``yaw``, ``pitch`` and ``controls``, ``depth`` and ``matte`` as in ``paint``, for all
    frames.
    """
    chosen = load(model)
    if not 0 < seconds * fps < 1e9:
        raise PaintingError(f"{seconds} seconds of {fps} frames each cannot be painted")
    passed = between(chosen, [_person(chosen, who) for who in people], round(seconds * fps), loop=loop)
    moment = Moment(yaw, pitch, controls or {})
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
    """Has Blender bake every face in a .blend, as its Bake does; with ``save`` the file then shows the pictures.

    ``blender``: the program; by default that of the variable EFFIGY_BLENDER, the one on the path, or an installed one.
    It needs the add-on. ``matte``: that of all faces, instead of each one's own.
    """
    program, bundle = None if blender is None else Path(blender), None if model is None else str(model)
    bake_blend(Path(blend), program, save=save, model=bundle, matte=matte)


def _person(model: FaceModel, who: Person) -> Identity:
    return who if isinstance(who, Identity) else open_person(model, who)


def _label(who: Person) -> str:
    return f"seed {who}" if isinstance(who, int) else who.key[:8]


def _picture_file(path: Path) -> tuple[bytes, str]:
    return read_picture_file(path), str(path)
