# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells whether the photograph around a plate shows what the face shows now: it is a picture of one moment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

import bpy

from effigy_client.parameters import PictureParameters

from ..scene.properties import face_of
from ..scene.reader import FaceState


def note(proxy: bpy.types.Object, states: Mapping[int, FaceState], *, is_still: bool) -> None:
    """Notes what was pasted: a still, which stands there in every frame, or a picture for every frame."""
    person = _person(proxy)  # once: a tuned one has megabytes
    lines = (f"{'' if is_still else frame}:{_digest(person, state.parameters)}" for frame, state in states.items())
    face_of(proxy).pasted = "\n".join(lines)


def is_another(proxy: bpy.types.Object, shown: PictureParameters | None, frame: int) -> bool:
    """Returns whether a photograph is there, and shows another moment than the picture that is ``shown`` in ``frame``.

    One that was pasted by an earlier version counts as another: nothing is known of it.
    """
    plane = face_of(proxy).photograph
    if plane is None or shown is None or not plane.users_scene:
        return False
    pasted = dict(line.split(":") for line in face_of(proxy).pasted.splitlines())
    return bool(pasted.get("", pasted.get(str(frame))) != _digest(_person(proxy), shown))


def _digest(person: str, parameters: PictureParameters) -> str:
    """Returns a name for what a person's picture is made from, whatever is cut out of it or lights it."""
    moment = parameters.yaw, parameters.pitch, parameters.controls, parameters.keep
    return hashlib.sha256(f"{person} {moment}".encode()).hexdigest()[:16]


def _person(proxy: bpy.types.Object) -> str:
    """Returns a name for who the face is."""
    return _hash(face_of(proxy).latent)


@lru_cache(maxsize=8)  # a tuned person has megabytes, and a panel asks at every redraw
def _hash(latent: str) -> str:
    return hashlib.sha256(latent.encode()).hexdigest()
