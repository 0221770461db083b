# SPDX-License-Identifier: Apache-2.0
"""Reads a face in a picture's file that a client sends."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ProtocolError
from ..limits import MAX_FILE_BYTES, REQUEST_LIMITS
from .values import Array, Buffer, Pose

MOST_FACES = 16  # that are read in a picture
PHOTO_POINTS = 478  # of a face: MediaPipe's mesh, and ten points of the irises


def pieces(data: bytes) -> tuple[memoryview, ...]:
    """Cuts a file so that each piece fits into a frame of a request."""
    view, most = memoryview(data), REQUEST_LIMITS.frame_bytes
    return tuple(view[start : start + most] for start in range(0, len(view), most))


def check_picture(picture: tuple[Buffer, ...], face: int) -> None:
    """Raises ProtocolError if the file is too large or the number of the face is out of range."""
    # The same frame may be named as several pieces.
    if (size := sum(memoryview(piece).nbytes for piece in picture)) > MAX_FILE_BYTES:
        raise ProtocolError("bad-field", f"a picture of {size} bytes; the limit is {MAX_FILE_BYTES}")
    if not 1 <= face <= MOST_FACES:
        raise ProtocolError("bad-field", f"face {face} of a picture: they are counted from 1 to {MOST_FACES}")


@dataclass(frozen=True, slots=True)
class FaceBox:
    """The box of a face: x right and y down, 0 … 1 over the picture, and beyond that if its edge cuts the face off."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class ReadPicture:
    """Asks how a face in a picture is turned and what it expresses. Long work; its result is PictureRead."""

    picture: tuple[Buffer, ...]  # a PNG, JPEG or WebP file in ``pieces``
    face: int = 1  # which face, counted from the largest, 1
    identity: str | None = None  # an open one, with whose model it is read; None: the served model
    painted: bool = False  # whether a generator painted the picture; such faces are read differently
    numbered: bool = False  # whether the result shall have the picture with its faces' numbers in it

    def __post_init__(self) -> None:
        check_picture(self.picture, self.face)


@dataclass(frozen=True, slots=True)
class PictureRead:
    """What a face in a picture shows.

    Reading is linear: for two pictures of one person, the difference of ``controls`` is that of their expressions.
    """

    pose: Pose  # the head's camera, in the model's terms
    controls: dict[str, float]  # the difference to an average person at rest, not limited to ranges
    own: dict[str, float] | None  # the same for the identity's own expression; None if no identity was named
    confidence: dict[str, float]  # of controls, "yaw" and "pitch": the correlation with the truth, on held-out people
    points: Array  # f4 [2, 478], x right and y down, 0 … 1 over the picture
    width: int  # of the upright picture, in pixels
    height: int
    faces: tuple[FaceBox, ...]  # all faces in the picture, the largest first
    face: int  # which of them was read, counted from 1
    residual: float  # distance of hardly moving points from an average face's, in % of the outer-eye distance
    numbered: Buffer | None = None  # a small PNG of the picture with a numbered box around each face, if asked for

    def __post_init__(self) -> None:
        if (self.points.dtype, self.points.shape) != ("f4", (2, PHOTO_POINTS)):
            raise ProtocolError("bad-field", f"the points of a face are f4 [2, {PHOTO_POINTS}]")
        if not 1 <= self.face <= len(self.faces) <= MOST_FACES or min(self.width, self.height) < 1:
            raise ProtocolError("bad-field", f"there is no face {self.face} of {len(self.faces)} in a picture")
