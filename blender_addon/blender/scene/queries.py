# SPDX-License-Identifier: GPL-3.0-or-later
"""Which faces there are, and what belongs to them.

Looking at every object of a scene takes 1.4 µs each, 7 ms for 5000. So what was found is kept until an object is added,
removed or linked; by name, because references do not survive an undo.
"""

from __future__ import annotations

from typing import Any

import bpy

from .properties import face_of


def faces(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """Returns the proxy meshes of all faces in ``scene``."""
    return [obj for obj in scene.objects if obj.type == "MESH" and face_of(obj).is_face]


Name = tuple[str, str | None]  # an object's, and the file of its library: which may hold names of this file


def name_of(obj: bpy.types.Object) -> Name:
    """Returns the key of an object for ``bpy.data.objects.get``."""
    return obj.name, obj.library.filepath if obj.library is not None else None


def carrier_of(proxy: bpy.types.Object) -> bpy.types.Object | None:
    """Returns the object that shows the face's picture: plate or proxy; None if the plate is lost."""
    face = face_of(proxy)
    return proxy if face.display == "PROJECTED" else face.plate


def is_in_a_layer(obj: bpy.types.Object, scene: bpy.types.Scene) -> bool:
    """Returns whether any view layer of the scene has the object: its collection is not excluded in all."""
    return any(obj.name in layer.objects for layer in scene.view_layers)


def owns_plate(proxy: bpy.types.Object) -> bool:
    """Returns whether the plate is this proxy's; one that was duplicated alone points at its original's plate."""
    plate = face_of(proxy).plate
    return plate is not None and face_of(plate).owner == proxy


def is_shared(proxy: bpy.types.Object, name: str) -> bool:
    """Returns whether a face in any scene besides ``proxy`` holds the same ``name``: "camera" or "photograph"."""
    held = getattr(face_of(proxy), name)
    others = (other for scene in bpy.data.scenes for other in faces(scene) if other != proxy)
    return held is not None and any(getattr(face_of(other), name) == held for other in others)


def has_own_plate(proxy: bpy.types.Object) -> bool:
    """Returns whether plate and picture are this proxy's alone.

    One that was duplicated with its plate shares the picture with its original, a library override with the library.
    """
    image: Any = face_of(proxy).image
    if not owns_plate(proxy) or proxy.library is not None or image is None:
        return owns_plate(proxy)
    mesh: Any = face_of(proxy).plate.data
    # In Blender 5.0 a file of an earlier one holds the picture's pointer to its mesh in two places, and both are users.
    twice = bpy.app.version >= (5, 0, 0) and "effigy_mesh" in image.keys()  # noqa: SIM118 it cannot be iterated
    alone = mesh.users - mesh.use_fake_user - twice <= 2  # the plate and the picture
    # Files of earlier versions say of no picture whose it is: see doubles.mend.
    return image.library is None and (image.effigy_mesh is None or (image.effigy_mesh == mesh and alone))


def scene_of(context: bpy.types.Context) -> bpy.types.Scene:
    """Returns the context's scene. Raises LookupError if there is none, which only happens while Blender starts."""
    if context.scene is None:
        raise LookupError("Blender has no scene yet")
    return context.scene


_known: dict[str, list[Name]] = {}  # of a scene, by its name, those of its faces


def known_faces(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """Returns what ``faces`` does, from memory while no objects come or go."""
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
    """Returns the face that the active object belongs to: as its proxy, plate or camera; else the scene's only face."""
    active = context.active_object
    if active is not None and _is_face(active):
        return active
    in_scene = known_faces(scene_of(context))
    for proxy in in_scene:
        if active is not None and active in (face_of(proxy).plate, face_of(proxy).camera):
            return proxy
    return in_scene[0] if len(in_scene) == 1 else None


def face_in(context: bpy.types.Context) -> bpy.types.Object:
    """Returns the active face. Raises LookupError if there is none, which an operator's poll excludes."""
    proxy = active_face(context)
    if proxy is None:
        raise LookupError("no face is active")
    return proxy


def forget() -> None:
    """Forgets what was found, because objects came or went."""
    _known.clear()
