# SPDX-License-Identifier: Apache-2.0
"""Writes many pictures: a folder of files as a bake writes it, or a film."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from effigy_protocol.files import beside, write_whole
from effigy_protocol.messages import MatteName
from effigy_protocol.record import JOURNAL, Journal, picture_file, shows

from ..faces import FaceModel
from .errors import PaintingError
from .format import Format
from .shots import Shot, over_white, paint_shots, record_of

Progress = Callable[[int, int], None]

_FILM = ".mp4"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: ``painted`` frames are new, ``kept`` ones existed already and are still up to date.

    ``clamped``: new frames whose parameters exceeded the model's range.
    """

    path: Path
    painted: int
    kept: int
    clamped: int

    def __str__(self) -> str:
        limited = f"; {self.clamped} ask beyond the model's range and were limited" if self.clamped else ""
        return f"{self.painted} frames painted, {self.kept} kept, in {self.path}{limited}"


def write_sequence(
    model: FaceModel,
    shots: Mapping[int, Shot],
    out: Path,
    fps: float,
    form: Format = Format(),
    progress: Progress = lambda done, of: None,
) -> Written:
    """Writes ``shots`` by frame to ``out``: an .mp4, whose channels have 8 bits, or a folder of files.

    Raises PaintingError, or OSError.
    """
    if out.suffix.lower() == _FILM:
        if form.layers is not None:
            raise PaintingError(f"{out} cannot hold layers: give a folder, for OpenEXR files")
        return write_film(model, shots, out, fps, form.matte, progress)
    if out.suffix:
        raise PaintingError(f"{out} is neither an {_FILM} nor a folder's name: PNG files go into a folder")
    if out.exists() and not out.is_dir():
        raise PaintingError(f"{out} is a file: give a folder, or an {_FILM}")
    return write_frames(model, shots, out, form, progress)


def write_frames(
    model: FaceModel,
    shots: Mapping[int, Shot],
    folder: Path,
    form: Format = Format(),
    progress: Progress = lambda done, of: None,
) -> Written:
    """Writes ``FOLDER/<its name>_<frame>.png`` (with layers .exr) and ``frames.json``, as a bake does.

    It resumes where an earlier run was stopped. Raises PaintingError, or OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / JOURNAL)
    missing: list[tuple[int, Path]] = []
    for frame, shot in shots.items():
        record = record_of(model, shot, form)
        path = picture_file(folder, frame, form.encoding)
        if shows(path, record.digest):
            journal.put(frame, record, path.name)
        else:
            missing.append((frame, path))
    kept = done = len(shots) - len(missing)
    clamped = 0
    progress(done, len(shots))
    try:
        pictures = paint_shots(model, (shots[frame] for frame, _ in missing), form)
        for (frame, path), painted in zip(missing, pictures, strict=True):
            write_whole(path, painted.file())
            journal.put(frame, painted.record, path.name)
            clamped += bool(painted.clamped)
            done += 1
            progress(done, len(shots))
            journal.save_when_due()
    finally:
        journal.save()
    return Written(folder, len(missing), kept, clamped)


def write_film(
    model: FaceModel,
    shots: Mapping[int, Shot],
    path: Path,
    fps: float,
    matte: MatteName = "none",
    progress: Progress = lambda done, of: None,
) -> Written:
    """Writes an .mp4 (H.264) of the frames, in order, whole or not at all. Raises PaintingError, or OSError.

    What ``matte`` cuts away is white: such a film has no alpha.
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        raise PaintingError(
            "films need imageio-ffmpeg: pip install imageio-ffmpeg, or give a folder to --out for PNG files"
        ) from None
    if not 1 <= fps <= 240:
        raise PaintingError(f"{fps} frames per second are out of range: ask for 1 to 240")
    height, width = model.generator.resolution
    partial = beside(path, f".part{path.suffix}")
    clamped = 0
    pictures = paint_shots(model, shots.values(), Format(matte=matte))
    first = list(islice(pictures, 1))  # before the film is begun: of one without frames imageio-ffmpeg complains, too
    try:
        writer = imageio_ffmpeg.write_frames(
            str(partial),
            (width, height),
            fps=fps,
            codec="libx264",
            quality=9,
            macro_block_size=2,
            ffmpeg_log_level="error",
        )
        try:
            writer.send(None)
            for done, painted in enumerate(chain(first, pictures), start=1):
                writer.send(over_white(painted.picture).tobytes())
                clamped += bool(painted.clamped)
                progress(done, len(shots))
        finally:
            writer.close()
        if not partial.is_file() or not _is_whole(partial):
            raise PaintingError(f"ffmpeg could not write {path}: see whether its folder is writable, and has room")
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return Written(path, len(shots), 0, clamped)


def _is_whole(film: Path) -> bool:
    """Returns whether the boxes of an .mp4 (ISO/IEC 14496-12) fill the file, the index among them.

    ffmpeg writes the index last, and imageio-ffmpeg does not say when it could not, as on a full disk.
    """
    size, place, names = film.stat().st_size, 0, set()
    with film.open("rb") as file:
        while place + 16 <= size:
            file.seek(place)
            length, name, long = struct.unpack(">I4sQ", file.read(16))
            names.add(name)
            place += max(long if length == 1 else length, 8)
    return place == size and b"moov" in names


def in_order(shots: Iterator[Shot]) -> dict[int, Shot]:
    """Numbers ``shots`` as frames from 1 on."""
    return dict(enumerate(shots, start=1))
