# SPDX-License-Identifier: GPL-3.0-or-later
"""Has landmarks read in a face's picture, anew whenever the picture at rest has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from effigy_client.errors import RequestError
from effigy_client.face import Anchor, Identities
from effigy_client.parameters import PictureParameters
from effigy_client.pixels import to_png

from ..scene.arrays import floats
from ..scene.properties import face_of
from ..scene.queries import Name, name_of
from .photo import Reading
from .runs import anchor_of, run_of

_LONGEST = 512  # pixels of a picture that is read: faces are read at 256

_Shown = tuple[Name, Anchor, PictureParameters]


@dataclass(frozen=True, slots=True)
class Found:
    """What was read in a face's picture: ``points`` [N, 2] in [0, 1], x right, y down; or why it was not read."""

    shown: _Shown
    points: np.ndarray
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Ongoing:
    """A picture that is being read."""

    shown: _Shown
    reading: Reading


class ReadLandmarks:
    """Reads landmarks of one face at a time; call ``poll`` from time to time."""

    def __init__(self) -> None:
        self._found: Found | None = None
        self._ongoing: _Ongoing | None = None

    def poll(self, proxy: bpy.types.Object, identities: Identities) -> bool:
        """Makes the picture be read that the face shows at rest; returns True if something is new. Never blocks."""
        if self._ongoing is not None:
            return self._take(self._ongoing, identities)
        shown = _shown_by(proxy)
        if shown is not None and (self._found is None or self._found.shown != shown):
            self._ongoing = _Ongoing(shown, Reading(proxy, [(_picture(proxy), 1)], painted=True))
            return self._take(self._ongoing, identities)
        return False

    def of(self, proxy: bpy.types.Object) -> Found | None:
        """Returns what was read in the picture that the face shows; None while it moves, or until it is read."""
        found = self._found
        return found if found is not None and found.shown == _shown_by(proxy) else None

    def forget(self) -> None:
        if self._ongoing is not None:
            self._ongoing.reading.cancel()
        self._found = self._ongoing = None

    def _take(self, ongoing: _Ongoing, identities: Identities) -> bool:
        """Takes the reading, once it is there; returns whether it is."""
        try:
            found = ongoing.reading.poll(identities)
            if found is None:
                return False
            points = found[0].points
            self._found = Found(ongoing.shown, floats(points).T)
        except RequestError as error:
            ongoing.reading.cancel()  # it may only have been late
            self._found = Found(ongoing.shown, np.zeros((0, 2)), error.message)
        self._ongoing = None
        return True


def _shown_by(proxy: bpy.types.Object) -> _Shown | None:
    """Returns what the face's picture was made from, if it is at rest and exact."""
    follower = run_of(proxy).follower
    if face_of(proxy).source != "LIVE" or not follower.is_right or follower.shown is None:
        return None
    return name_of(proxy), anchor_of(proxy), follower.shown


def _picture(proxy: bpy.types.Object) -> bytes:
    image: Any = face_of(proxy).image
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    return to_png(values, image.size[1], image.size[0], longest=_LONGEST)


read_landmarks = ReadLandmarks()
