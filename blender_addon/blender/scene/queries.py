# SPDX-License-Identifier: GPL-3.0-or-later
"""Which faces a scene holds, for what asks many times a second.

To look at every object takes 1.4 µs each: 7 ms in a scene of 5000. So what was found is kept, by names, since
references do not survive an undo, until something was added, removed or linked.
"""

from __future__ import annotations

from typing import Any

import bpy

from .properties import Name, face_of, faces, name_of, scene_of

_known: dict[str, list[Name]] = {}  # of a scene, by its name, those of its faces


def known_faces(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """As ``faces``."""
    if scene.name in _known:
        named: list[Any] = [bpy.data.objects.get(name) for name in _known[scene.name]]
        if all(_is_face(proxy) for proxy in named):
            return named
    found = faces(scene)
    _known[scene.name] = [name_of(proxy) for proxy in found]
    return found


def _is_face(obj: bpy.types.Object | None) -> bool:
    return obj is not None and obj.type == "MESH" and face_of(obj).is_face


def active_face(context: bpy.types.Context) -> bpy.types.Object | None:
    """The face that the active object belongs to: as its proxy, plate or camera; else the scene's only face."""
    active = context.active_object
    if active is not None and _is_face(active):
        return active
    in_scene = known_faces(scene_of(context))
    for proxy in in_scene:
        if active is not None and active in (face_of(proxy).plate, face_of(proxy).camera):
            return proxy
    return in_scene[0] if len(in_scene) == 1 else None


def face_in(context: bpy.types.Context) -> bpy.types.Object:
    """The active face, where an operator's poll has seen that there is one."""
    proxy = active_face(context)
    assert proxy is not None
    return proxy


def forget() -> None:
    """Objects came or went."""
    _known.clear()
