# SPDX-License-Identifier: GPL-3.0-or-later
"""A face's controls and pose as arrays: reading, setting, keying. What all posing tools share."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from effigy_client.capture.retarget import Target
from effigy_client.follow import Shape
from effigy_client.mirror import Twin
from effigy_client.pose import Angles, View, angles_of, head_rotation

from .fcurves import bags_of
from .properties import face_of

_CARRYING = {"CHILD_OF", "ARMATURE"}  # constraints that carry an object about as a parent does


def sliders_of(proxy: bpy.types.Object) -> list[bpy.types.ShapeKey]:
    """Returns the shape keys of controls and attributes, without basis and artists' own; [] if they were removed."""
    keys, face = proxy.data.shape_keys, face_of(proxy)
    return [block for block in list(keys.key_blocks)[1:] if face.is_control(block.name)] if keys is not None else []


def blocks_of(proxy: bpy.types.Object) -> list[bpy.types.ShapeKey]:
    """Returns the sliders of the expression."""
    face = face_of(proxy)
    return [block for block in sliders_of(proxy) if not face.is_attribute(block.name)]


def attributes_of(proxy: bpy.types.Object) -> list[bpy.types.ShapeKey]:
    """Returns the sliders of looks that the model knows."""
    face = face_of(proxy)
    return [block for block in sliders_of(proxy) if face.is_attribute(block.name) and not block.mute]


def values_of(proxy: bpy.types.Object) -> dict[str, float]:
    return {block.name: block.value for block in blocks_of(proxy)}


def targets_of(proxy: bpy.types.Object) -> list[Target]:
    """Returns the controls as targets of a capture."""
    twins = twins_of(proxy)
    return [
        Target(block.name, block.slider_min, block.slider_max, twins[block.name].name) for block in blocks_of(proxy)
    ]


def twins_of(proxy: bpy.types.Object) -> dict[str, Twin]:
    """Returns the mirror twin of each of the face's controls."""
    return face_of(proxy).twins([block.name for block in blocks_of(proxy)])


def set_values(proxy: bpy.types.Object, values: dict[str, float]) -> None:
    """Sets the controls named in ``values``, within their ranges; unknown names are left out."""
    for block in sliders_of(proxy):
        if block.name in values:
            value = min(max(values[block.name], block.slider_min), block.slider_max)
            if block.value != value:
                block.value = value


def shape_of(proxy: bpy.types.Object) -> Shape:
    """Returns the proxy mesh as the solver takes it, in the proxy's local frame."""
    basis = proxy.data.shape_keys.key_blocks[0]
    rest = points_of(basis)
    blocks = blocks_of(proxy)
    return Shape(
        rest,
        np.stack([points_of(block) - rest for block in blocks]) if blocks else np.zeros((0, *rest.shape)),
        np.array([block.slider_min for block in blocks]),
        np.array([block.slider_max for block in blocks]),
    )


TWINS = "Effigy Mirror"  # the mesh attribute that tells it


def twin_of(proxy: bpy.types.Object, landmark: int) -> int:
    """Returns the landmark on the other side of the face, or the same one on the middle line."""
    attribute: Any = proxy.data.attributes.get(TWINS)
    return int(attribute.data[landmark].value) if attribute is not None else landmark


def points_of(block: bpy.types.ShapeKey) -> np.ndarray:
    points = np.empty(3 * len(block.data), dtype=np.float32)
    block.data.foreach_get("co", points)
    return points.reshape(-1, 3).astype(np.float64)


def camera_of(proxy: bpy.types.Object, scene: bpy.types.Scene) -> bpy.types.Object | None:
    """Returns the camera that sees the face: the scene's, or the rig's own."""
    camera = scene.camera or face_of(proxy).camera
    return camera if camera is not None and camera.type == "CAMERA" else None


def eye_on(proxy: bpy.types.Object, scene: bpy.types.Scene) -> bpy.types.Object:
    """Returns what ``camera_of`` does. Raises LookupError if there is none, which an operator's poll excludes."""
    camera = camera_of(proxy, scene)
    if camera is None:
        raise LookupError(f"no camera looks at {proxy.name}")
    return camera


def view_of(proxy: bpy.types.Object, camera: bpy.types.Object) -> View:
    """Returns where head and camera stand now, as the user sees them."""
    return View(
        np.array(proxy.matrix_world, dtype=np.float64),
        np.array(camera.matrix_world, dtype=np.float64),
        camera.data.type == "PERSP",
    )


def angles_now(proxy: bpy.types.Object, camera: bpy.types.Object) -> Angles:
    return angles_of(view_of(proxy, camera))


def turn(proxy: bpy.types.Object, camera: bpy.types.Object, angles: Angles) -> None:
    """Turns the head in its place so that ``camera`` sees it under ``angles``."""
    set_rotation(proxy, head_rotation(angles, view_of(proxy, camera)))


def set_rotation(proxy: bpy.types.Object, rotation: np.ndarray) -> None:
    """Gives the head the world rotation [3, 3]; place and size stay."""
    carried = any(
        constraint.type in _CARRYING and not constraint.mute and constraint.influence > 0
        for constraint in proxy.constraints
    )
    if carried:
        bpy.context.view_layer.update()  # so that where it stands and what it was given belong together
    world = proxy.matrix_world
    scale = Vector([column.length for column in world.to_3x3().col])
    scale.x *= -1.0 if world.determinant() < 0 else 1.0
    wanted = Matrix.LocRotScale(world.translation, Matrix(rotation.tolist()), scale)
    if carried:
        # Blender's own way counts parents only: the constraint would carry the head once more.
        proxy.matrix_basis = proxy.matrix_basis @ world.inverted_safe() @ wanted
    else:
        proxy.matrix_world = wanted


def turn_next(proxy: bpy.types.Object, rotation: np.ndarray, last: Any) -> Any:
    """Gives the head the world rotation [3, 3] as the same turn on the shorter way from ``last``, if there is one.

    Returns that turn, in the head's rotation mode: what to key, and the next call's ``last``.
    """
    if proxy.rotation_mode == "AXIS_ANGLE":
        proxy.rotation_mode = "QUATERNION"  # between whose keys there is a straight way
    set_rotation(proxy, rotation)
    turn = getattr(proxy, rotation_path(proxy)).copy()
    if last is not None and type(last) is type(turn):
        turn.make_compatible(last)
        setattr(proxy, rotation_path(proxy), turn)
    return turn


def key_turn(proxy: bpy.types.Object, frame: float) -> None:
    """Keyframes the head's turn at ``frame``."""
    proxy.keyframe_insert(rotation_path(proxy), frame=frame)


def key_looks(proxy: bpy.types.Object, frame: float) -> None:
    """Keyframes at ``frame`` the attributes and the likeness that are keyed already, or not at their defaults."""
    for block in attributes_of(proxy):
        if block.value != 0 or _is_keyed(block.id_data, block.path_from_id("value")):
            block.keyframe_insert("value", frame=frame)
    if face_of(proxy).keep != 1 or _is_keyed(proxy, "effigy.keep"):
        proxy.keyframe_insert("effigy.keep", frame=frame)


def _is_keyed(data: Any, path: str) -> bool:
    return any(curves.find(path) is not None for curves in bags_of(data))


def key_controls(proxy: bpy.types.Object, frame: float, names: Container[str] | None = None) -> None:
    """Keyframes the expression's controls at ``frame``: those of ``names``, or all."""
    for block in blocks_of(proxy):
        if names is None or block.name in names:
            block.keyframe_insert("value", frame=frame)


def rotation_path(proxy: bpy.types.Object) -> str:
    """Returns the property that the object's rotation mode uses, and that is animated."""
    return {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(
        proxy.rotation_mode, "rotation_euler"
    )


def auto_key(proxy: bpy.types.Object, scene: bpy.types.Scene, *, shape: bool, head: bool) -> None:
    """Keyframes what was changed when Blender's own Auto Keying is on: the controls, the head's turn."""
    if not scene.tool_settings.use_keyframe_insert_auto:
        return
    if shape:
        key_controls(proxy, scene.frame_current)
    if head:
        key_turn(proxy, scene.frame_current)


def placement_of(proxy: bpy.types.Object) -> dict[str, tuple[float, ...]]:
    """Returns the head's own location and rotation values; a matrix would lose whole turns."""
    return {path: tuple(getattr(proxy, path)) for path in ("location", rotation_path(proxy), "scale")}


def put_back(proxy: bpy.types.Object, placement: dict[str, tuple[float, ...]]) -> None:
    for path, values in placement.items():
        setattr(proxy, path, values)
