# SPDX-License-Identifier: GPL-3.0-or-later
"""Converts a face of one model to another one; poses and keys go to the controls that do the same."""

from __future__ import annotations

from typing import Any

import bmesh
import bpy

from effigy_client.control_names import equivalents
from effigy_client.mirror import twins_of
from effigy_protocol.messages import Welcome

from . import controls
from .arrays import integers
from .fcurves import bags_in, bags_of, copy_curve, players_of, slider_path
from .properties import EffigyFace, face_of

# Numbers of landmarks of meshes that can become each other: iBUG's points without the irises and with them, which come
# last.
_KIN = {68, 70}


def fits(proxy: bpy.types.Object, landmarks: int) -> bool:
    """Returns whether the face's mesh can become one of a model with so many landmarks."""
    count = len(proxy.data.vertices)
    return proxy.data.shape_keys is not None and (count == landmarks or {count, landmarks} <= _KIN)


def convert(proxy: bpy.types.Object, welcome: Welcome) -> None:
    """Gives the mesh the landmarks and the shape keys the names of the model that ``welcome`` describes.

    The keys' animation and what is driven by them follow; a key without an equivalent keeps its name. An artist's own
    key that has a new control's name is renamed: it is not to become the model's.
    """
    face, count = face_of(proxy), welcome.mean.shape[1]
    twins, were = twins_of(welcome.controls), {block.name for block in controls.sliders_of(proxy)}
    known = set(twins)
    if known == were and len(proxy.data.vertices) == count:
        return
    is_last = _is_last(proxy, face)  # no other face needs the old names
    _own_mesh(proxy)
    _grow(proxy.data, welcome)
    keys = proxy.data.shape_keys.key_blocks
    for name in known - were:
        if name in keys:
            keys[name].name = f"{name} (own)"
    for name in sorted(were - known):
        found = [equivalent for equivalent in equivalents(name, twins) if equivalent not in keys]
        if found:
            _rename(proxy, name, found)
            if is_last:
                _rename_unused(name, found)
            were = (were - {name}) | set(found)
    face.control_names = "\n".join(block.name for block in keys if block.name in were)


def _own_mesh(proxy: bpy.types.Object) -> None:
    """Gives the face shape keys that no other face shares, and actions that no other face's keys use."""
    if proxy.data.users - proxy.data.use_fake_user > 1:
        proxy.data = proxy.data.copy()
    keys = proxy.data.shape_keys
    others = [player.action for other in bpy.data.shape_keys if other != keys for player in players_of(other)]
    for player in players_of(keys):
        if player.action in others:
            slot = getattr(player, "action_slot", None)
            player.action = player.action.copy()
            if slot is not None:
                player.action_slot = player.action.slots[slot.identifier]


def _is_last(proxy: bpy.types.Object, face: EffigyFace) -> bool:
    """Returns whether no other face in this file is of the face's model."""
    every = (obj for obj in bpy.data.objects if obj != proxy and face_of(obj).is_face)
    return all(face_of(obj).model != face.model for obj in every)


def _grow(mesh: Any, welcome: Welcome) -> None:
    """Gives the mesh a vertex for each of the model's landmarks, in every shape key too, and its triangles."""
    count = welcome.mean.shape[1]
    if len(mesh.vertices) == count:
        return
    work = bmesh.new()
    try:
        work.from_mesh(mesh)
        bmesh.ops.delete(work, geom=list(work.edges), context="EDGES_FACES")
        work.verts.ensure_lookup_table()
        for vertex in list(work.verts)[count:]:
            work.verts.remove(vertex)
        for _ in range(count - len(work.verts)):
            work.verts.new((0.0, 0.0, 0.0))
        work.verts.ensure_lookup_table()
        for corners in integers(welcome.triangles).tolist():
            work.faces.new([work.verts[corner] for corner in corners]).smooth = True
        work.to_mesh(mesh)
    finally:
        work.free()


def _rename(proxy: bpy.types.Object, name: str, found: list[str]) -> None:
    """Renames a shape key to its first equivalent, and copies it to the others. Blender renames it in F-curves and
    drivers, too.
    """
    keys = proxy.data.shape_keys
    block = keys.key_blocks[name]
    block.name = found[0]
    first, drivers = slider_path(found[0]), keys.animation_data.drivers if keys.animation_data is not None else ()
    for equivalent in found[1:]:
        other = proxy.shape_key_add(name=equivalent, from_mix=False)
        other.slider_min, other.slider_max, other.value = block.slider_min, block.slider_max, block.value
        for curves in bags_of(keys):
            if (curve := curves.find(first)) is not None:
                copy_curve(curves, curve, slider_path(equivalent))
        for driver in [driver for driver in drivers if driver.data_path == first]:
            drivers.from_existing(src_driver=driver).data_path = slider_path(equivalent)


def _rename_unused(name: str, found: list[str]) -> None:
    """Renames a shape key in actions that nothing plays now, so that they still work when they are played later."""
    for action in bpy.data.actions:
        if action.users > action.use_fake_user or action.library is not None:
            continue
        for curves in bags_in(action):
            if (curve := curves.find(slider_path(name))) is not None:
                curve.data_path = slider_path(found[0])
                for equivalent in found[1:]:
                    copy_curve(curves, curve, slider_path(equivalent))
