# SPDX-License-Identifier: Apache-2.0
"""A picture file that a client sends, and what a face in it shows."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ProtocolError
from ..limits import MAX_FILE_BYTES, REQUEST_LIMITS
from .values import Array, Buffer, Pose

MOST_FACES = 16  # of a picture
PHOTO_POINTS = 478  # of a face: MediaPipe's mesh, and ten of the irises


def pieces(data: bytes) -> tuple[memoryview, ...]:
    """A file cut so that each piece fits into a frame of a request."""
    view, most = memoryview(data), REQUEST_LIMITS.frame_bytes
    return tuple(view[start : start + most] for start in range(0, len(view), most))


def check_picture(picture: tuple[Buffer, ...], face: int) -> None:
    """Raises ProtocolError where the file or the number of its face is beyond what a request may say."""
    # The same frame may be named as several pieces.
    if (size := sum(memoryview(piece).nbytes for piece in picture)) > MAX_FILE_BYTES:
        raise ProtocolError("bad-field", f"a picture of {size} bytes; the limit is {MAX_FILE_BYTES}")
    if not 1 <= face <= MOST_FACES:
        raise ProtocolError("bad-field", f"face {face} of a picture: they are counted from 1 to {MOST_FACES}")


@dataclass(frozen=True, slots=True)
class FaceBox:
    """Where a face is in a picture: 0 … 1 over it where it is not cut off by its edge, x to the right and y down."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class ReadPicture:
    """Asks how a face in a picture is turned and what it expresses. Long work.

    ``picture`` is a PNG or JPEG file in the ``pieces`` that frames can carry. ``face`` counts its faces from the
    largest, 1. ``identity`` is an open one, by whose model it is read and whose own expression is told; nil: by the
    served model. ``painted``: a generator made the picture. Its faces are read otherwise than photographed ones, so
    that another average person counts as at rest. ``numbered``: the picture is wanted with its faces' numbers in it.
    """

    picture: tuple[Buffer, ...]
    face: int = 1
    identity: str | None = None
    painted: bool = False
    numbered: bool = False

    def __post_init__(self) -> None:
        check_picture(self.picture, self.face)


@dataclass(frozen=True, slots=True)
class PictureRead:
    """What the face ``face`` of a picture shows, of those in ``faces``, the largest first.

    ``pose`` is the camera of the head as the model counts it. ``controls`` are what the face shows beyond an average
    person's at rest, as large as it was read; ``own`` is what the identity shows beyond that by itself, nil where none
    was named. Reading is linear: of two pictures of one person the difference is what the second shows beyond the
    first. ``confidence``: of each control, and of "yaw" and "pitch", the correlation of what is read with the truth,
    on people that the model did not learn it from. ``points`` is f4 [2, 478], x right and y down, 0 … 1 over the
    picture, which stands upright and has ``width`` and ``height`` pixels. ``residual``: by how many percent of the
    outer-eye distance the points that hardly move miss an average face's. ``numbered``: the picture in small, as a PNG
    file, with a numbered box around each face, where that was asked for.
    """

    pose: Pose
    controls: dict[str, float]
    own: dict[str, float] | None
    confidence: dict[str, float]
    points: Array
    width: int
    height: int
    faces: tuple[FaceBox, ...]
    face: int
    residual: float
    numbered: Buffer | None = None

    def __post_init__(self) -> None:
        if (self.points.dtype, self.points.shape) != ("f4", (2, PHOTO_POINTS)):
            raise ProtocolError("bad-field", f"the points of a face are f4 [2, {PHOTO_POINTS}]")
        if not 1 <= self.face <= len(self.faces) <= MOST_FACES or min(self.width, self.height) < 1:
            raise ProtocolError("bad-field", f"there is no face {self.face} of {len(self.faces)} in a picture")
