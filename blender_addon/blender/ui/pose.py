# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that pose a face: neutral, mirror, reset, random, key."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.props import FloatProperty, IntProperty

from effigy_client.mirror import mirrored
from effigy_client.pose import Angles

from ..pictures import preview
from ..scene import controls
from ..scene.properties import face_of
from ..scene.queries import active_face, face_in, scene_of
from ..scene.viewing import viewpoint
from .operator import FaceOperator, is_ours


class PoseOperator(FaceOperator):
    """One that changes a face's expression (``shape``) or turn (``head``), and keys that when Auto Keying is on."""

    shape = True
    head = False

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy, scene = face_in(context), scene_of(context)
        self.change(proxy, scene)
        controls.auto_key(proxy, scene, shape=self.shape, head=self.head)
        return {"FINISHED"}

    def change(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        raise NotImplementedError


class CameraOperator(PoseOperator):
    """One that turns the head, and so needs a camera too, since turns are as it sees them."""

    head = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_camera(cls, context)


def has_camera(operator: Any, context: bpy.types.Context) -> bool:
    """Returns whether there is an active face and somebody who looks at it; ``operator`` says so where not."""
    proxy = active_face(context)
    if proxy is None or controls.camera_of(proxy, scene_of(context)) is None:
        operator.poll_message_set("Select a face, in a scene with a camera")
        return False
    return is_ours(operator, proxy)


class EFFIGY_OT_neutral(PoseOperator):
    bl_idname = "effigy.neutral"
    bl_label = "Neutral"
    bl_description = "Set every expression control to zero: the identity's own expression. The pose stays"

    def change(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        controls.set_values(proxy, dict.fromkeys(controls.values_of(proxy), 0.0))


class EFFIGY_OT_mirror(CameraOperator):
    bl_idname = "effigy.mirror"
    bl_label = "Mirror"
    bl_description = "Swap the face's left and right: its controls, its turn and its tilt"

    def change(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        camera = controls.eye_on(proxy, scene)
        controls.turn(proxy, camera, controls.angles_now(proxy, camera).mirrored)
        controls.set_values(proxy, mirrored(controls.values_of(proxy), controls.twins_of(proxy)))


class EFFIGY_OT_reset_pose(CameraOperator):
    bl_idname = "effigy.reset_pose"
    bl_label = "Reset Pose"
    bl_description = "Turn the head back to the pose of the identity's own picture. The expression stays"

    shape = False

    def change(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        camera, face = controls.eye_on(proxy, scene), face_of(proxy)
        controls.turn(proxy, camera, Angles(face.rest_yaw, face.rest_pitch, face.rest_roll))


class EFFIGY_OT_face_camera(CameraOperator):
    bl_idname = "effigy.face_camera"
    bl_label = "Face the Camera"
    bl_description = "Turn the head straight to the scene's camera"

    shape = False

    def change(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        camera = controls.eye_on(proxy, scene)
        controls.turn(proxy, camera, Angles(0.0, 0.0, face_of(proxy).rest_roll))


class EFFIGY_OT_randomise(PoseOperator):
    bl_idname = "effigy.randomise"
    bl_label = "Randomise"
    bl_description = "Set a random expression within the controls' ranges"

    seed: IntProperty(name="Seed", description="Another seed gives another expression", default=0, min=0)
    strength: FloatProperty(
        name="Strength", description="0 is neutral, 1 uses the whole range", default=0.6, min=0.0, max=1.0
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.properties.is_property_set("seed"):
            self.seed = int(np.random.default_rng().integers(2**31))
        return self.execute(context)

    def change(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        random = np.random.default_rng(self.seed)
        values = {}
        for block in controls.blocks_of(proxy):
            # Most controls of a real expression are near rest: squares keep the mean low.
            size = float(random.random() ** 2) * self.strength
            value = size * (block.slider_max if random.random() < 0.7 else block.slider_min)
            values[block.name] = round(value, 3)  # as many digits as the panel shows
        controls.set_values(proxy, values)


class EFFIGY_OT_key_all(PoseOperator):
    bl_idname = "effigy.key_all"
    bl_label = "Key All"
    bl_description = "Keyframe the head's location and rotation and every control at the current frame"

    shape = False  # keyed already

    def change(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        proxy.keyframe_insert("location", frame=scene.frame_current)
        controls.key_turn(proxy, scene.frame_current)
        controls.key_controls(proxy, scene.frame_current)
        controls.key_looks(proxy, scene.frame_current)


class EFFIGY_OT_follow_view(bpy.types.Operator):
    bl_idname = "effigy.follow_view"
    bl_label = "Follow View"
    bl_description = (
        "Let faces be seen by the viewport instead of the scene's camera: orbit, and they turn. The viewport that was "
        "moved last counts. Renders, bakes and caches always use the camera"
    )
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if viewpoint.is_on or isinstance(context.space_data, bpy.types.SpaceView3D):
            return True
        cls.poll_message_set("Press it in a 3D viewport")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        space = context.space_data
        if viewpoint.is_on:
            preview.follow_camera()
        elif isinstance(space, bpy.types.SpaceView3D) and space.region_3d is not None:  # the button is in its sidebar
            preview.follow_view(space.region_3d)
        preview.wake()
        return {"FINISHED"}


_CLASSES = (
    EFFIGY_OT_follow_view,
    EFFIGY_OT_neutral,
    EFFIGY_OT_mirror,
    EFFIGY_OT_reset_pose,
    EFFIGY_OT_face_camera,
    EFFIGY_OT_randomise,
    EFFIGY_OT_key_all,
)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
