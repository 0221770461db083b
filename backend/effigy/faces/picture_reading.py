# SPDX-License-Identifier: Apache-2.0
"""Reads a face in a picture with a face model: the head's pose and the value of each control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Array
from ..landmarks.photo import Face, PhotoReader, head
from .face import FaceModel
from .photo_map import Features
from .transfer import average_rest, photo_map_of


class NoFaceError(Exception):
    """A picture without the requested face; the message says what it shows instead."""


@dataclass(frozen=True, slots=True)
class PictureReading:
    """What was read of a face in a picture, in the face model's terms; angles in degrees."""

    yaw: float
    pitch: float
    roll: float
    scale: float  # picture widths per outer-eye distance
    x: float  # the middle of the face in [0, 1], to the right and down
    y: float
    controls: dict[str, float]  # the difference to an average person's at rest, or to a neutral picture's
    points: Array  # [2, 478] in [0, 1], x right and y down
    boxes: Array  # [n, 4]: left, top, right, bottom of each face in the picture, in [0, 1], the largest first
    number: int  # which of them was read, the largest being 1
    residual: float  # mean distance of hardly moving points from an average face's, % of the outer-eye distance
    features: Features


def read_picture(
    model: FaceModel,
    reader: PhotoReader,
    picture: NDArray[np.uint8],  # [H, W, 3]
    number: int = 1,  # which face: 1 is the largest
    neutral: Features | None = None,  # the same person's at rest; else an average person's counts
    *,
    painted: bool = False,  # by a generator; else photographed
) -> PictureReading:
    """Reads one face of a picture.

    Raises NoFaceError, or UnreadableModelError for a model that has not learnt to read photographs.
    """
    photos, rest = photo_map_of(model), average_rest(model, painted=painted) if neutral is None else neutral
    faces = find_faces(reader, picture, number)
    face = faces[number - 1]
    read = head(face.points)
    features = Features.of(face, read)
    yaw, pitch, roll = photos.read_pose(features)
    height, width, _ = picture.shape
    middle = face.points[:, :2].mean(axis=0)
    return PictureReading(
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        scale=read.size / width,
        x=float(middle[0]) / width,
        y=float(middle[1]) / height,
        controls=photos.read_controls(features, rest),
        points=face.points[:, :2].T / np.array([[width], [height]]),
        boxes=np.stack([np.concatenate([f.points.min(axis=0)[:2], f.points.max(axis=0)[:2]]) for f in faces])
        / (width, height, width, height),
        number=number,
        residual=100 * read.residual,
        features=features,
    )


def find_faces(reader: PhotoReader, picture: NDArray[np.uint8], number: int = 1) -> list[Face]:
    """Finds the faces in a picture [H, W, 3], the largest first.

    Raises NoFaceError if there are fewer than ``number``.
    """
    faces = reader.read(picture)
    if not faces:
        raise NoFaceError("no face is seen in it: it should show one from the front, not smaller than 40 pixels")
    if not 1 <= number <= len(faces):
        there = "one face" if len(faces) == 1 else f"{len(faces)} faces, the largest being 1"
        raise NoFaceError(f"there is no face {number} in it: it shows {there}")
    return faces
