# SPDX-License-Identifier: Apache-2.0
"""Makes a person of a photograph step by step, so that the page can paint meanwhile; then poses the person."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..faces import Identity, LatentError
from ..faces.person import SUFFIX, write_person
from ..faces.picture_reading import NoFaceError, find_faces
from ..generators import GeneratorFileError, PictureError
from ..landmarks import DetectorError
from ..painting import Moment, PaintingError, Shot, paint_shots
from ..people import Made, UnfitModelError, make_person, pixels_of
from ..people.numbering import beside, numbered
from ..people.stages import Remembered
from ..picture_files import PictureFileError, decode_picture, read_picture_file
from ..recognition import IdentityFileError, users_lpips
from .studio import Studio

_SHOWN = 256  # pixels of the width and height of each of two pictures beside each other, at least

FAILURES = (
    DetectorError, GeneratorFileError, IdentityFileError, LatentError, NoFaceError, PaintingError, PictureError,
    PictureFileError, UnfitModelError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """How far a person is: the photograph's face and the painted one, and once done the person."""

    share: float
    picture: NDArray[np.uint8]  # [h, 2 h, 3]
    made: Made | None = None


class PortraitMaker:
    """Makes people of photographs with a studio's model. Stages that were finished before are not repeated."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._found = Remembered()

    def faces(self, path: Path) -> tuple[NDArray[np.uint8], int]:
        """Returns the picture with its faces' numbers drawn in, and how many there are. Raises one of FAILURES."""
        picture = decode_picture(read_picture_file(path), "the picture")
        with self._studio.lock:
            found = find_faces(self._studio.reader, picture)
        height, width, _ = picture.shape
        corners = [np.concatenate([face.points.min(axis=0)[:2], face.points.max(axis=0)[:2]]) for face in found]
        return numbered(picture, np.stack(corners) / (width, height, width, height)), len(found)

    def make(self, path: Path, face: int, *, tuned: bool) -> Iterator[Look]:
        """Yields after every step, and may be left at any time. Raises one of FAILURES."""
        studio, data = self._studio, read_picture_file(path)
        with studio.lock:
            reader = studio.reader
        lpips = users_lpips(reader.device)
        steps = make_person(studio.model, reader, data, face, tuned=tuned, lpips=lpips, kept=self._found)
        while True:
            try:
                with studio.lock:  # a step at a time: others look at faces between them
                    progress = next(steps)
            except StopIteration as end:
                made: Made = end.value
                break
            yield Look(progress.share, beside(pixels_of(progress.wanted), pixels_of(progress.picture)))
        yield Look(1.0, beside(made.aligned.pixels(), self.pose(made.identity, 0.0, 0.0, {})), made)

    def pose(self, who: Identity, yaw: float, pitch: float, controls: dict[str, float]) -> NDArray[np.uint8]:
        """Paints the person, [h, w, 3], turned by these degrees from the pose of the photograph.

        Raises one of FAILURES.
        """
        moment = Moment(who.pose.yaw + yaw, who.pose.pitch + pitch, controls)
        with self._studio.lock:
            return next(paint_shots(self._studio.model, [Shot(who, moment)])).picture[..., :3]


def save(made: Made, folder: Path) -> Path:
    """Writes the person's file into ``folder``, for the browser to load. Raises OSError."""
    path = folder / f"person{SUFFIX}"
    write_person(made.person, path)
    return path


def shown(picture: NDArray[np.uint8]) -> bytes:
    """Returns a picture as a PNG file for the browser, not too small to be seen."""
    image = Image.fromarray(picture)
    if image.height < _SHOWN:
        image = image.resize((_SHOWN * image.width // image.height, _SHOWN), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
