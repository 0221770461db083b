# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives faces that were duplicated, overridden or made by an earlier version what each must have of its own."""

from __future__ import annotations

from typing import Any

import bpy

from effigy_client.mirror import twins_of
from effigy_protocol.messages import Welcome

from . import controls, display, identity, rig
from .plate import remove_keys
from .properties import EffigyFace, face_of
from .queries import has_own_plate, is_shared, owns_plate


def mend(proxy: bpy.types.Object, welcome: Welcome | None) -> None:
    """Gives a face what it lacks; does nothing for most, and for what a library holds."""
    if proxy.library is not None:
        return
    face = face_of(proxy)
    if not has_own_plate(proxy):
        _part(proxy, face)
    image: Any = face.image
    if image is not None and image.effigy_mesh is None and face.plate is not None:
        rig.own(face, image)
    photograph = face.photograph
    if photograph is not None and photograph.library is None and face_of(photograph).owner is None:  # 0.2.0 gave none
        rig.claim(photograph, proxy)
    if welcome is not None and controls.TWINS not in proxy.data.attributes:
        identity.store_twins(proxy.data, welcome)
    if welcome is not None and welcome.model == face.model and not face.control_twins:
        face.set_twins(twins_of(welcome.controls))


def _part(proxy: bpy.types.Object, face: EffigyFace) -> None:
    """Gives a duplicate a plate and picture of its own, and a library override sliders and lens that can change."""
    if proxy.override_library is not None and proxy.data.library is not None:
        proxy.data = proxy.data.copy()
    camera = face.camera
    if camera is not None and camera.override_library is not None and camera.data.library is not None:
        camera.data = camera.data.copy()
    if face.display == "PROJECTED" and proxy.data.users > 1:
        proxy.data = proxy.data.copy()  # a linked duplicate may share sliders, but not the picture that the mesh wears
    shown = face.image
    image = shown.copy() if shown is not None else bpy.data.images.new(f"{proxy.name} Picture", 1, 1)
    image.name = f"{proxy.name} Picture"
    if owns_plate(proxy):
        _keep_plate(face)
    else:
        face.plate = rig.new_plate(proxy)
        for collection in _open_collections(proxy):
            collection.objects.link(face.plate)
    for name in ("normal_map", "light_map"):
        if (held := getattr(face, name)) is not None:
            setattr(face, name, held.copy())
    face.baked = face.baked_normal = face.baked_light = None
    face.source = "LIVE"
    if is_shared(proxy, "photograph"):
        face.photograph = None  # the original's, around the original's plate
    elif face.photograph is not None:
        face.photograph.data = face.photograph.data.copy()
        for slot in face.photograph.material_slots:
            slot.material = slot.material.copy() if slot.material is not None else None
    rig.own(face, image)
    if not any(material is not None and display.shows_picture(material) for material in face.plate.data.materials):
        face.plate.data.materials.append(display.new_emission(f"{proxy.name} Plate", image, clear=face.matte == "HEAD"))
    display.renew(proxy)


def _keep_plate(face: EffigyFace) -> None:
    """Keeps a plate that was duplicated with its proxy, with all on it but the keys of its original's bake."""
    plate = face.plate
    plate.data = plate.data.copy()
    for index, material in enumerate(plate.data.materials):
        if material is not None and display.shows_picture(material):
            plate.data.materials[index] = material.copy()
    animation = plate.animation_data
    if animation is not None and animation.action is not None and face.source == "BAKED":
        animation.action = animation.action.copy()
        remove_keys(plate, range(face.baked_start, face.baked_end + 1))


def _open_collections(proxy: bpy.types.Object) -> list[bpy.types.Collection]:
    """Returns collections into which an object can be put beside the proxy: not a library's, nor their overrides."""
    homes = [home for home in proxy.users_collection if home.library is None and home.override_library is None]
    return homes or [scene.collection for scene in proxy.users_scene]
