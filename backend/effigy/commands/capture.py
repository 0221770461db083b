# SPDX-License-Identifier: Apache-2.0
"""``effigy capture``: reads a face in a film or a camera, to a recording or to packets of the Live Link Face app.

Of the pictures nothing is kept but what was read in them.
"""

from __future__ import annotations

import csv
import io
import math
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from effigy_protocol.errors import SHOWN
from effigy_protocol.files import whole_file
from effigy_protocol.transfer import RELIABLE

from ..capture import CapturedFrame, OneEuro, Pixels, Source, SourceError, csv_rows, packet, smooth_both_ways
from ..capture.arkit import ShapeFinder
from ..faces import FaceModel
from ..faces.photo_map import Features, PhotoMap
from ..faces.transfer import photo_map_of
from ..faces.welcome import controls_of
from ..geometry.camera import Array
from ..landmarks.photo import SCORES, Face, Film, PhotoReader

_CUTOFF = 1.0  # Hz, at rest
_ANGLE_BETA, _SHAPE_BETA = 0.05, 1.0  # of degrees, and of shapes and controls
_GAP_S = 0.5  # seconds without a face, after which smoothing begins anew
_CALIBRATION_S = 1.0  # live, in which the person is taken to be at rest
_LONGEST_S = 6 * 3600.0
NUMBER = re.compile(r"\d{1,9}")  # of a camera or picture


class CaptureError(Exception):
    """A capture that gives nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Take:
    """What was read in the N pictures of a film that show the face."""

    times: Array  # [N], seconds
    values: Array  # [N, 3 + C + 52]: yaw, pitch and roll; controls, relative to an average person; MediaPipe's scores
    numbers: tuple[int, ...]  # of these pictures in the film
    pictures: int  # in the film
    faces: int  # the most in one picture
    problem: str = ""  # why reading ended early

    @property
    def missing(self) -> int:
        """Pictures without a face: gaps."""
        return self.pictures - len(self.times)


class Audience:
    """Is told how a capture goes."""

    def begun(self, source: Source, left_out: tuple[str, ...]) -> None:
        """Reports that a camera or film is open, and which controls are left out because pictures do not show them
        reliably.
        """

    def read(self, done: int, total: int, picture: Pixels, face: Face | None) -> None:
        """Reports a picture that was read, and its face. ``total`` is 0 if the number of pictures is unknown."""

    def said(self, text: str) -> None:
        """Reports a message for the user."""

    def written(self, take: Take, out: Path, left_out: tuple[str, ...]) -> None:
        """Reports that a recording was written to ``out``."""


_NOBODY = Audience()


class Performer:
    """Turns what is read in pictures into what is recorded, for one face model."""

    def __init__(self, model: FaceModel) -> None:
        """Raises UnreadableModelError."""
        self.photos: PhotoMap = photo_map_of(model)
        self.controls = tuple(self.photos.controls)
        known = self.photos.correlations
        self._shapes = ShapeFinder([control for control in controls_of(model) if known[control.name] >= RELIABLE])
        self.left_out = tuple(name for name in self.controls if known[name] < RELIABLE)
        self.beta = np.array([_ANGLE_BETA] * 3 + [_SHAPE_BETA] * (len(self.controls) + len(SCORES)))

    def read(self, features: Features) -> Array:
        """Returns one row of a Take's values."""
        controls = self.photos.read_controls(features, self.photos.own_rest())
        return np.array([*self.photos.read_pose(features), *controls.values(), *features.scores])

    def average(self) -> Array:
        """Returns the row of an average person in a photograph, looking ahead."""
        row = self.read(self.photos.photographed_rest())
        row[:3] = 0.0
        return row

    def moment(self, seconds: float, row: Array, rest: Array) -> CapturedFrame:
        """Returns the moment at ``seconds``: the difference of ``row`` to the row ``rest``."""
        beyond = row - rest
        C = len(self.controls)
        controls = dict(zip(self.controls, beyond[3 : 3 + C].tolist(), strict=True))
        scores = dict(zip(SCORES, beyond[3 + C :].tolist(), strict=True))
        yaw, pitch, roll = beyond[:3].tolist()
        return CapturedFrame(
            seconds, self._shapes.find(controls, scores), yaw, pitch, roll, self._shapes.spread(controls)
        )

    def unsaid(self, moments: list[CapturedFrame]) -> tuple[str, ...]:
        """Returns the controls that ARKit's shapes cannot express in some of the moments."""
        return self._shapes.unsaid(moments)


def read_take(
    performer: Performer,
    reader: PhotoReader,
    source: Source,
    face: int = 1,  # which is followed, the largest being 1
    seconds: float = _LONGEST_S,  # how much of it
    audience: Audience = _NOBODY,
) -> Take:
    """Reads a film, or a camera until Ctrl-C. What was read before it was unplugged or damaged is kept.

    Raises CaptureError, or SourceError where nothing was read.
    """
    film, times, rows, numbers, pictures, faces, problem = Film(reader, face - 1), [], [], [], 0, 0, ""
    try:
        with suppress(KeyboardInterrupt):
            for at, picture in source.pictures:
                if at > min(seconds, _LONGEST_S):
                    break
                if (found := film.read(picture)) is not None:
                    times.append(at)
                    rows.append(performer.read(Features.of(found)))
                    numbers.append(pictures)
                pictures += 1
                faces = max(faces, film.faces)
                audience.read(pictures, max(source.count, pictures) if source.count else 0, picture, found)
    except SourceError as error:
        if not rows:
            raise
        problem = str(error)
    finally:
        source.pictures.close()  # type: ignore[attr-defined]
    if not rows and faces:
        raise CaptureError(f"there is no face {face} in {source.name}: {faces} at most are seen at once")
    if not rows:
        raise CaptureError(f"no face is seen in {source.name}: it should show one from the front, not too small")
    return Take(np.array(times), np.stack(rows), tuple(numbers), pictures, faces, problem)


def check_neutral(neutral: str) -> None:
    """Raises CaptureError for what ``rest_of`` cannot understand."""
    if neutral not in ("median", "none") and not NUMBER.fullmatch(neutral):
        raise CaptureError(
            f"there is no neutral picture {neutral[:SHOWN]!r}: use median, none, or a picture's number from 0 on"
        )


def rest_of(take: Take, performer: Performer, neutral: str) -> Array:
    """Returns the row of the person at rest: the film's for "median", a picture's by its number, an average for "none".

    Raises CaptureError.
    """
    check_neutral(neutral)
    if neutral == "median":
        return np.asarray(np.median(take.values, axis=0))
    if neutral == "none":
        return performer.average()
    if int(neutral) not in take.numbers:
        raise CaptureError(
            f"no face is seen in picture {neutral} of {take.pictures}: choose another as the neutral one"
        )
    return take.values[take.numbers.index(int(neutral))]


def write_take(take: Take, performer: Performer, rest: Array, out: Path) -> None:
    """Writes the table that the Live Link Face app would record, with columns of our own for what it cannot express.

    Raises OSError.
    """
    smooth = smooth_both_ways(take.values, take.times, _CUTOFF, performer.beta, _GAP_S)
    moments = [performer.moment(float(seconds), row, rest) for seconds, row in zip(take.times, smooth, strict=True)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(csv_rows(moments, performer.unsaid(moments)))
    with whole_file(out) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def stream(
    performer: Performer,
    reader: PhotoReader,
    source: Source,
    address: tuple[str, int],  # where somebody listens for the app's packets
    face: int = 1,
    seconds: float = math.inf,
    neutral: str = "median",  # as ``rest_of``, of the first second that shows a face; no picture has a number yet
    audience: Audience = _NOBODY,
) -> int:
    """Sends a packet for every picture, until Ctrl-C; returns their number. A film runs at its own speed.

    Raises CaptureError, SourceError, or OSError where nothing can be sent.
    """
    check_neutral(neutral)
    if NUMBER.fullmatch(neutral):
        source.pictures.close()  # type: ignore[attr-defined]
        raise CaptureError("live, no picture has a number: say with --neutral median or none where all counts from")
    rest = performer.average() if neutral == "none" else None
    film, smooth, sent = Film(reader, face - 1), OneEuro(_CUTOFF, performer.beta), 0
    first: list[tuple[float, Array]] = []
    last, was_there = 0.0, True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out, suppress(KeyboardInterrupt):
        try:
            for at, picture in _at_their_times(source):
                if at > seconds:
                    break
                found = film.read(picture)
                moment = None
                if found is None:
                    smooth.forget()
                else:
                    row = smooth(performer.read(Features.of(found)), at - last)
                    last = at
                    if rest is None:
                        first.append((at, row))
                        if at - first[0][0] >= _CALIBRATION_S:
                            rest = np.median([row for _, row in first], axis=0)
                            audience.said("at rest: the expression counts from here")
                    else:
                        moment = performer.moment(at, row, rest)
                if (found is not None) != was_there:
                    was_there = found is not None
                    audience.said("the face is back" if was_there else "no face is seen")
                out.sendto(packet(moment, sent, source.rate, source.name), address)
                sent += 1
                audience.read(sent, source.count, picture, found)
        finally:
            source.pictures.close()  # type: ignore[attr-defined]
    return sent


def _at_their_times(source: Source) -> Iterator[tuple[float, Pixels]]:
    """Yields pictures when they are due: a film's wait for their time, and late ones are left out."""
    began = time.monotonic()
    for at, picture in source.pictures:
        late = time.monotonic() - began - at
        if late > 2 / source.rate and not source.is_live:
            continue
        time.sleep(0.0 if source.is_live else max(-late, 0.0))
        yield at, picture
