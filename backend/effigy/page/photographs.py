# SPDX-License-Identifier: Apache-2.0
"""A photograph, or the camera's picture: how the face in it is turned, and what it expresses."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..faces.picture_reading import NoFaceError, PictureReading, read_picture
from ..faces.transfer import UnreadableModelError
from ..landmarks import DetectorError
from ..picture_files import PictureFileError
from ..picture_files import read_picture as open_picture
from .studio import Studio
from .view import PageView

_SHOWN = 720  # pixels of the longer side, in the browser


class PhotographError(Exception):
    """A photograph that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture [H, W, 3] and the face that is read in it."""

    picture: NDArray[np.uint8]
    reading: PictureReading

    def small(self) -> bytes:
        """Returns the picture as a JPEG file for the browser."""
        image = Image.fromarray(self.picture)
        image.thumbnail((_SHOWN, _SHOWN))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=90)
        return file.getvalue()


def read_photograph(studio: Studio, path: Path, face: int = 1) -> Photograph:
    """Reads face ``face`` of the picture file ``path``, 1 being the largest. Raises PhotographError."""
    try:
        picture = open_picture(path)
        with studio.lock:
            return Photograph(picture, read_picture(studio.model, studio.reader, picture, face))
    except PictureFileError as error:
        raise PhotographError(str(error).replace(str(path), "the picture")) from None
    except (NoFaceError, DetectorError, UnreadableModelError) as error:
        raise PhotographError(str(error)) from None


def taken_over(studio: Studio, asked: PageView, reading: PictureReading) -> PageView:
    """Poses the current person like the face in a photograph, within the range of the model."""
    model = studio.model
    controls = {
        name: min(max(round(value, 3), model.controls[name].low), model.controls[name].high)
        for name, value in reading.controls.items()
    }
    yaw, pitch = (
        min(max(round(angle, 1), -reach), reach)
        for angle, reach in zip((reading.yaw, reading.pitch), model.pose_range, strict=True)
    )
    return replace(asked, moment=replace(asked.moment, yaw=yaw, pitch=pitch, controls=controls))
