# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a face is: storing an identity and its model's controls on a rig, and exchanging them for another's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np

from effigy_client.mirror import twins_of
from effigy_client.pose import landmarks_to_local
from effigy_protocol.messages import Identity, Parameter, Welcome

from ..translation import rpt_
from . import controls, conversion, display, placing
from .arrays import floats, integers
from .properties import EffigyFace, face_of

_ATTRIBUTES = "attributes"  # the group of controls that change looks and no expression
_SHAPE_KEY_LIMIT = 10.0  # Blender's own for slider ranges


def describe(face: EffigyFace, welcome: Welcome, identity: Identity, seed: int) -> None:
    """Stores who the face is. ``seed`` −1: no seed, as for a mixture or a saved identity."""
    _store_identity(face, identity, seed)
    face.model_name = welcome.model_name
    _name_controls(face, welcome)
    face.set_twins(twins_of(welcome.controls))


def _store_identity(face: EffigyFace, identity: Identity, seed: int) -> None:
    """Stores what belongs to the identity alone."""
    face.seed = seed
    face.wanted_seed = max(seed, 0)
    face.set_latent(identity.latent)
    face.model = identity.model
    pose = identity.pose
    face.rest_yaw, face.rest_pitch, face.rest_roll = pose.yaw, pose.pitch, pose.roll
    face.rest_scale, face.rest_x, face.rest_y = pose.scale, pose.x, pose.y


def _name_controls(face: EffigyFace, welcome: Welcome) -> None:
    face.control_names = "\n".join(control.name for control in welcome.controls)
    face.attribute_names = "\n".join(control.name for control in welcome.controls if control.group == _ATTRIBUTES)


def change_identity(proxy: bpy.types.Object, welcome: Welcome, identity: Identity, seed: int) -> None:
    """Gives a face another identity; where it stands, its expression and its animation stay.

    Controls that go by another name in another model are renamed, animation and all. Those that it does not have keep
    their shape keys, muted; those that it has besides are added. Raises ValueError when the mesh does not fit.
    """
    face = face_of(proxy)
    rest, before = landmarks_to_local(floats(identity.rest)), face.plate_size
    if not conversion.fits(proxy, len(rest)):
        raise ValueError(rpt_("{} is the mesh of another kind of model: add a new face instead", proxy.name))
    if identity.model != welcome.model:  # one that the backend opens besides its own
        if identity.model != face.model:
            raise ValueError(rpt_("the identity is of another model than {}, and than the backend's", proxy.name))
        _rename(proxy, seed)
        _store_identity(face, identity, seed)
        _move(proxy, rest)
    else:
        _rename(proxy, seed)
        conversion.convert(proxy, welcome)
        were = {block.name for block in controls.sliders_of(proxy)}
        describe(face, welcome, identity, seed)
        _fit_image(proxy, welcome)
        _move(proxy, rest)
        shape_controls(proxy, welcome, rest, were)
    store_own(proxy, identity.own)
    placing.frame(proxy, grown=face.plate_size / before)


def _rename(proxy: bpy.types.Object, seed: int) -> None:
    """Renames the rig's parts after the new number; parts that a user has renamed keep their names."""
    face = face_of(proxy)
    if face.seed < 0 or seed < 0:
        return
    owners: list[Any] = [proxy, face.plate, face.camera]
    rig: list[Any] = [*owners, *(owner.data for owner in owners if owner is not None), proxy.data.shape_keys]
    rig += [face.image, face.normal_map, face.light_map, *display.materials_of(proxy), *proxy.users_collection]
    for part in rig:
        if part is None or part.library is not None:
            continue
        named = re.fullmatch(rf"Face {face.seed}(?:\.\d+)?( [A-Z][a-z]+)?(?:\.\d+)?", part.name)
        if named:
            part.name = f"Face {seed}{named[1] or ''}"


def _move(proxy: bpy.types.Object, rest: np.ndarray) -> None:
    """Moves the basis to ``rest`` [L, 3], and every key with it."""
    keys = proxy.data.shape_keys.key_blocks
    moved = rest - controls.points_of(keys[0])
    proxy.data.vertices.foreach_set("co", rest.astype(np.float32).reshape(-1))
    for block in keys:
        block.data.foreach_set("co", (controls.points_of(block) + moved).astype(np.float32).reshape(-1))
    proxy.data.update()


def _fit_image(proxy: bpy.types.Object, welcome: Welcome) -> None:
    """Scales the picture to the model's size."""
    image, (height, width) = face_of(proxy).image, welcome.resolution
    if image is None or image.library is not None:
        return
    if tuple(image.size) != (width, height):
        image.scale(width, height)


def missing_attributes(proxy: bpy.types.Object, welcome: Welcome) -> list[str]:
    """Returns the attributes that the face's model has learnt since the face was made."""
    face = face_of(proxy)
    if face.model != welcome.model or not face.control_names:
        return []
    return [each.name for each in welcome.controls if each.group == _ATTRIBUTES and not face.is_attribute(each.name)]


def add_attributes(proxy: bpy.types.Object, welcome: Welcome) -> None:
    """Gives the face sliders for ``missing_attributes``. An artist's own shape key of such a name is renamed."""
    keys = proxy.data.shape_keys.key_blocks
    for name in missing_attributes(proxy, welcome):
        if name in keys:
            keys[name].name = f"{name} (own)"
    rest, were = controls.points_of(keys[0]), {block.name for block in controls.sliders_of(proxy)}
    face = face_of(proxy)
    _name_controls(face, welcome)
    face.set_twins(twins_of(welcome.controls))
    shape_controls(proxy, welcome, rest, were)
    widen(proxy)


def store_own(proxy: bpy.types.Object, own: Mapping[str, float] | None) -> None:
    """Stores what the face shows by itself beyond the average face, which its sliders can then reach."""
    if own is not None:
        face_of(proxy).set_own(own)
        widen(proxy)


def widen(proxy: bpy.types.Object) -> None:
    """Lets the sliders reach the average expression, as the backend does."""
    keys = proxy.data.shape_keys.key_blocks
    for item in face_of(proxy).own:
        if (block := keys.get(item.name)) is not None:
            block.slider_min = max(min(block.slider_min, -item.value), -_SHAPE_KEY_LIMIT)
            block.slider_max = min(max(block.slider_max, -item.value), _SHAPE_KEY_LIMIT)


def shape_controls(proxy: bpy.types.Object, welcome: Welcome, rest: np.ndarray, were: set[str]) -> None:
    """Gives the face the model's controls, shaped about ``rest`` [L, 3]: adds those that are missing.

    A shape key that was a control before (``were``) and is none of this model is muted.
    """
    store_twins(proxy.data, welcome)
    keys = proxy.data.shape_keys.key_blocks
    known = {control.name for control in welcome.controls}
    for block in keys:
        if block.name in known | were:
            block.mute = block.name not in known
    for control, direction in zip(welcome.controls, floats(welcome.directions), strict=True):
        block = keys.get(control.name)
        if block is None:
            block = proxy.shape_key_add(name=control.name, from_mix=False)
            block.value = 0.0  # Blender 5 begins with 1
        block.slider_min, block.slider_max = _limits(control)
        block.data.foreach_set("co", (rest + landmarks_to_local(direction)).astype(np.float32).reshape(-1))
    proxy.data.update()


def _limits(control: Parameter) -> tuple[float, float]:
    return max(control.low, -_SHAPE_KEY_LIMIT), min(control.high, _SHAPE_KEY_LIMIT)


def store_twins(mesh: Any, welcome: Welcome) -> None:
    """Stores on the mesh which landmark lies on the other side; does nothing for a mesh of another model."""
    if len(mesh.vertices) != welcome.mirror.shape[0]:
        return
    numbers = mesh.attributes.get(controls.TWINS) or mesh.attributes.new(controls.TWINS, "INT", "POINT")
    numbers.data.foreach_set("value", integers(welcome.mirror))
