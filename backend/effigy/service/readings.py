# SPDX-License-Identifier: Apache-2.0
"""Reads the pictures that clients send, one after the other in a thread of its own, while the worker paints."""

from __future__ import annotations

from functools import partial

from effigy_protocol.messages import Buffer, FaceBox, PictureRead, Pose, ReadPicture, Reply

from ..faces import FaceModel
from ..faces.picture_reading import NoFaceError, PictureReading, read_picture
from ..faces.transfer import UnreadableModelError, photo_map_of
from ..faces.welcome import encode_floats
from ..landmarks import DetectorError
from ..landmarks.photo import PhotoReader
from ..people.numbering import numbered
from ..picture_files import PictureFileError, decode_picture
from ..threads import limited_threads
from .encode import png
from .jobs import Progress, Steps
from .lane import Lane
from .refusals import RefusedError, guarded


class PictureReadings:
    """Readings of all clients. All but ``_read`` runs in the worker's thread."""

    def __init__(self) -> None:
        self._lane = Lane("effigy-pictures")
        self._reader: PhotoReader | None = None

    def begin(self, model: FaceModel, request: ReadPicture, own: dict[str, float] | None) -> Steps:
        """Begins to read one picture. Raises RefusedError for a model that cannot read pictures.

        ``own``: the identity's own expression beyond the average, by control; None without an identity.
        """
        try:
            photo_map_of(model)
        except UnreadableModelError as error:
            raise RefusedError("failed", str(error), "then start the backend again") from None
        work = partial(guarded, "ReadPicture", partial(self._read, model, request, own))
        return self._lane.in_turn(self._lane.run(work, Progress(0.0, "reading")))

    def _read(self, model: FaceModel, request: ReadPicture, own: dict[str, float] | None) -> Reply:
        try:
            picture = decode_picture(b"".join(request.picture))
            with limited_threads(1):  # the others are the worker's
                if self._reader is None or self._reader.device != model.generator.device:
                    self._reader = PhotoReader(model.generator.device)
                found = read_picture(model, self._reader, picture, request.face, painted=request.painted)
        except PictureFileError as error:
            raise RefusedError("bad-field", str(error), "choose another picture") from None
        except NoFaceError as error:
            raise RefusedError("no-face", str(error), "choose another picture, or another face") from None
        except DetectorError as error:
            raise RefusedError("failed", str(error), "run: effigy doctor") from None
        height, width, _ = picture.shape
        shown = png(numbered(picture, found.boxes)) if request.numbered else None
        return _finished(model, found, own, width, height, shown)

    def close(self) -> None:
        """Ends the thread after its present work, without waiting for that."""
        self._lane.close()


def _finished(
    model: FaceModel,
    found: PictureReading,
    own: dict[str, float] | None,
    width: int,
    height: int,
    shown: Buffer | None,
) -> PictureRead:
    return PictureRead(
        pose=Pose(found.yaw, found.pitch, found.roll, found.scale, found.x, found.y),
        controls=found.controls,
        own=own,
        confidence=photo_map_of(model).correlations,
        points=encode_floats(found.points),
        width=width,
        height=height,
        faces=tuple(FaceBox(*box) for box in found.boxes.tolist()),
        face=found.number,
        residual=found.residual,
        numbered=shown,
    )
