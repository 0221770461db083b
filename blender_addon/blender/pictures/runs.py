# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of each face in this run of Blender.

It lives in this module and never in a .blend; faces are remembered by name, since references do not survive undo or
loading a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import bpy

from effigy_client.face import Anchor
from effigy_client.follower import Follower, Key, key_of
from effigy_client.followers import Followers
from effigy_client.memory import CachedRange, PictureMemory

from .. import preferences
from ..scene.properties import face_of
from ..scene.queries import Name, name_of
from ..scene.reader import FaceState
from .session import on_connect, on_disconnect, session


@dataclass(frozen=True, slots=True)
class FaceRun:
    """The state of one face; each part is changed by its own methods alone."""

    follower: Follower
    cached: CachedRange = field(default_factory=CachedRange)


class Runs:
    """The faces of this run, by name."""

    def __init__(self) -> None:
        self.memory = PictureMemory()
        self.followers = Followers(self.memory)
        self._runs: dict[Name, FaceRun] = {}

    def __iter__(self) -> Iterator[FaceRun]:
        return iter(self._runs.values())

    def names(self) -> list[Name]:
        return list(self._runs)

    def of(self, proxy: bpy.types.Object) -> FaceRun:
        """Returns the state of a face, which is made on first use."""
        name = name_of(proxy)
        if name not in self._runs:
            self._runs[name] = FaceRun(self.followers.of(name))
        return self._runs[name]

    def known(self, proxy: bpy.types.Object) -> FaceRun | None:
        """Returns the state of a face that was asked for before."""
        return self._runs.get(name_of(proxy))

    def drop(self, names: Iterable[Name]) -> None:
        """Forgets faces that are gone, or whose names others will have."""
        for name in list(names):
            self._runs.pop(name, None)
            self.followers.drop(name)

    def clear(self) -> None:
        """Forgets all faces, because another file was loaded."""
        self._runs.clear()
        self.followers.clear()


runs = Runs()


def run_of(proxy: bpy.types.Object) -> FaceRun:
    return runs.of(proxy)


def anchor_of(proxy: bpy.types.Object) -> Anchor:
    """Returns who the face is: its latent and its model."""
    return face_of(proxy).anchor


def earlier_model(proxy: bpy.types.Object) -> str:
    """Returns the name of the face's model if that is an earlier default, which the backend opens besides, or ""."""
    described = session.welcome
    known = {other.model: other.name for other in described.others} if described is not None else {}
    return known.get(face_of(proxy).model, "")


def memory_key(proxy: bpy.types.Object, wanted: FaceState) -> Key:
    """Returns the key under which the exact picture of a face is remembered."""
    return key_of(anchor_of(proxy), wanted.parameters)


def forget_gone_faces() -> None:
    """Forgets faces that are in no scene any more."""
    gone = []
    for name in runs.names():
        proxy = bpy.data.objects.get(name)  # type: ignore[call-overload,unused-ignore]
        if proxy is None or not face_of(proxy).is_face or not proxy.users_scene:
            gone.append(name)
    runs.drop(gone)


def release_unused() -> None:
    """Makes the backend release the identities that no face uses any more."""
    if session.identities is not None:
        runs.followers.release_unused(session.identities)


def _fit_memory() -> None:
    runs.memory.resize(preferences.get().memory << 20)


def register() -> None:
    on_connect.append(_fit_memory)
    on_disconnect.append(runs.followers.lose)
    preferences.on_memory.append(_fit_memory)


def unregister() -> None:
    preferences.on_memory.remove(_fit_memory)
    on_disconnect.remove(runs.followers.lose)
    on_connect.remove(_fit_memory)
    runs.clear()
