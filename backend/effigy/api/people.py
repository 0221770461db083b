# SPDX-License-Identifier: Apache-2.0
"""Makes people from photographs, and pastes their posed faces back into these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from effigy_protocol.files import whole_file
from effigy_protocol.messages import Alignment
from effigy_protocol.png import annotate

from ..faces import Identity
from ..faces.person import read_person, write_person
from ..landmarks.photo import PhotoReader
from ..painting import Keys, Moment, PaintingError, Shot, open_person, paint_shots, read_keys
from ..painting.outputs import check_apart, check_place, check_suffix
from ..painting.pasted import write_pasted
from ..painting.sequences import Progress, Written
from ..people import ALIGNMENTS, Made, finish, make_person, place_of, provenance_texts
from ..people.numbering import beside
from ..people.stages import Unfinished
from ..picture_files import read_picture_file
from ..recognition import users_lpips
from ..service.encode import png
from .opening import Model, load


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
    note: Callable[[str], None] = lambda text: None,
) -> Made:
    """Makes a person of a face in a picture; ``identity`` of the result can be painted.

    One that is stopped resumes when it is called again with the same arguments. Until then, intermediate results are
    beside ``out`` in NAME.person.unfinished. Where the user has the files of LPIPS (``recognition.users_lpips``), a
    photograph is compared by it, too.

    Args:
        picture: a PNG, JPEG or WebP file's path, or its bytes.
        out: a NAME.person to write.
        face: which face, counted from the largest, 1.
        align: how the face is cut out: as the "model"'s pictures or as those of "ffhq" are, the "whole" picture, or
            "auto", as the model's unless the picture is already cut like that.
        tune: change the generator for this person, which takes minutes and paints them more exactly.
        keep_picture: put the picture into ``out``, so that ``paste`` needs no other file.
        preview: a PNG to write, of the face as it was cut out and as it is painted, side by side.
        model: the face model.
        progress: called with the share that is done, 0 … 1.
        note: called with a sentence where an earlier run was stopped: whether what it found is used.

    Raises:
        Besides PaintingError, what ``people.make_person`` raises.
    """
    if align not in ALIGNMENTS:
        raise PaintingError(f"a face is cut out as {', '.join(ALIGNMENTS)}, not as {align!r}")
    if preview is not None:  # checked before minutes of work
        check_suffix(Path(preview), ".png")
    for written in (out, preview):
        check_place(written)
        check_apart(written, picture)
    chosen = load(model)
    data, name = (picture, "the picture") if isinstance(picture, bytes) else _picture_file(Path(picture))
    reader = PhotoReader(chosen.generator.device)
    kept = None if out is None else Unfinished(Path(out))
    if kept is not None and kept.told:
        note(kept.told)
    steps = make_person(
        chosen, reader, data, face, align, tuned=tune, keep_picture=keep_picture, name=name,
        lpips=users_lpips(reader.device), kept=kept,
    )  # fmt: skip
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
            temporary.write_bytes(annotate(png(result), provenance_texts(who)))
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


def _picture_file(path: Path) -> tuple[bytes, str]:
    return read_picture_file(path), str(path)
