# SPDX-License-Identifier: Apache-2.0
"""``effigy read`` and ``effigy transfer``: read pictures with a face model, and apply what was read to its people."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from effigy_protocol.transfer import RELIABLE, Part, Transfer

from ..faces import FaceModel, Identity
from ..faces.photo_map import Features
from ..faces.picture_reading import NoFaceError, PictureReading, find_faces, read_picture
from ..faces.transfer import average_rest, photo_map_of, transfer
from ..landmarks.photo import PhotoReader
from ..picture_files import PictureFileError
from ..picture_files import read_picture as open_picture


class PhotoError(Exception):
    """A picture that cannot be used; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one picture: a reading, or why there is none."""

    path: Path
    reading: PictureReading | None
    problem: str = ""


def read_neutral(reader: PhotoReader, path: Path | None) -> Features | None:
    """Reads the picture that shows the person at rest, if there is one. Raises PhotoError."""
    if path is None:
        return None
    try:
        return Features.of(find_faces(reader, open_picture(path))[0])
    except (PictureFileError, NoFaceError) as error:
        raise PhotoError(_about(path, error)) from None


def read_pictures(
    model: FaceModel,
    paths: list[Path],
    face: int = 1,  # of each, the largest being 1
    neutral: Path | None = None,  # a picture of the same person at rest
    *,
    painted: bool = False,  # by a generator; else photographed
) -> list[Outcome]:
    """Reads each picture. Raises PhotoError for the neutral one, UnreadableModelError or DetectorError."""
    photo_map_of(model)
    reader = PhotoReader(model.generator.device)
    rest = read_neutral(reader, neutral)
    outcomes = []
    for path in paths:
        try:
            reading = read_picture(model, reader, open_picture(path), face, rest, painted=painted)
            outcomes.append(Outcome(path, reading))
        except (PictureFileError, NoFaceError) as error:
            outcomes.append(Outcome(path, None, _about(path, error)))
    return outcomes


def as_csv(model: FaceModel, outcomes: list[Outcome]) -> str:
    """Returns a table with a row for each picture that was read."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["picture", "faces", "yaw", "pitch", "roll", "residual_percent", *model.controls])
    for outcome in outcomes:
        if (reading := outcome.reading) is not None:
            numbers = (reading.yaw, reading.pitch, reading.roll, reading.residual, *reading.controls.values())
            table.writerow([str(outcome.path), len(reading.boxes), *(f"{number:.4f}" for number in numbers)])
    return out.getvalue()


def reliability(model: FaceModel) -> dict[str, float]:
    """Returns how reliably each control, yaw and pitch are read: the correlation with the truth on unseen people."""
    return photo_map_of(model).correlations


def unreliable(model: FaceModel) -> list[str]:
    """Returns the controls that pictures determine too poorly to drive them."""
    return [name for name in model.controls if reliability(model)[name] < RELIABLE]


def read_for(
    model: FaceModel,
    identity: Identity,  # who is to look as the face in the picture does
    picture: Path,
    neutral: Path | None = None,  # the same person at rest
    face: int = 1,  # the largest being 1
    part: Part = "all",
    strength: float = 1.0,
    *,
    painted: bool = False,  # by a generator; else photographed
) -> tuple[Transfer, int]:
    """Reads a picture; returns what to ask of ``identity``, and how many faces the picture shows.

    Raises PhotoError, UnreadableModelError or DetectorError.
    """
    reader = PhotoReader(model.generator.device)
    rest = read_neutral(reader, neutral)
    try:
        faces = find_faces(reader, open_picture(picture), face)
    except (PictureFileError, NoFaceError) as error:
        raise PhotoError(_about(picture, error)) from None
    seen, relative = Features.of(faces[face - 1]), rest is not None
    rest = average_rest(model, painted=painted) if rest is None else rest
    return transfer(model, identity, seen, rest, relative=relative, part=part, strength=strength), len(faces)


def _about(path: Path, error: Exception) -> str:
    text = str(error)
    return text if str(path) in text else f"{path}: {text}"
