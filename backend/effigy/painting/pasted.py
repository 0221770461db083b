# SPDX-License-Identifier: Apache-2.0
"""Writes the frames of a person who moves in the photograph that they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from effigy_protocol.files import write_whole
from effigy_protocol.png import annotate, read_texts
from effigy_protocol.record import picture_file

from ..faces import FaceModel, Identity
from ..landmarks.photo import PhotoReader
from ..people import Place, provenance_texts
from ..service.encode import png
from .errors import PaintingError
from .sequences import Progress, Written
from .shots import Shot, paint_shots, record_of

_SHOWS = "Effigy pasted"  # the text of a file that says what it was made from
_PASTING = 2  # raised when the same face is pasted in another way, so that earlier files are not kept
_HEAD = 1 << 20  # bytes at a file's beginning, among which its texts lie


def write_pasted(
    model: FaceModel, place: Place, who: Identity, shots: Mapping[int, Shot], folder: Path, progress: Progress
) -> Written:
    """Writes ``FOLDER/<its name>_<frame>.png``, the whole photograph in each. It resumes where an
    earlier run was stopped.

    Raises PaintingError, or OSError.
    """
    if folder.exists() and not folder.is_dir():
        raise PaintingError(f"{folder} is a file: give a folder, for a picture of each frame")
    folder.mkdir(parents=True, exist_ok=True)
    made_of = {frame: f"{_PASTING}:{record_of(model, shot).digest}" for frame, shot in shots.items()}
    missing = [frame for frame in shots if _shown(picture_file(folder, frame)) != made_of[frame]]
    kept = done = len(shots) - len(missing)
    progress(done, len(shots))
    if not missing:
        return Written(folder, 0, kept, 0)
    reader, clamped = PhotoReader(model.generator.device), 0
    before = next(paint_shots(model, [Shot(who)])).picture[..., :3]
    for frame, painted in zip(missing, paint_shots(model, (shots[frame] for frame in missing)), strict=True):
        file = png(place.paste(reader, before, painted.picture[..., :3]))
        write_whole(picture_file(folder, frame), annotate(file, {_SHOWS: made_of[frame], **provenance_texts(who)}))
        clamped += bool(painted.clamped)
        done += 1
        progress(done, len(shots))
    return Written(folder, len(missing), kept, clamped)


def _shown(path: Path) -> str:
    """Reads what a file says that it was made from; "" where it says nothing."""
    try:
        with path.open("rb") as file:
            return read_texts(file.read(_HEAD)).get(_SHOWS, "")
    except OSError:
        return ""
