# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons for looks and for the average expression."""

from __future__ import annotations

from dataclasses import replace

import bpy

from effigy_client.errors import RequestError
from effigy_client.face import OPEN_S
from effigy_protocol.messages import Identity

from ..pictures.session import session
from ..scene import controls, identity
from ..scene.properties import face_of
from ..scene.queries import active_face, face_in, scene_of
from .opening import REDO_S
from .operator import FaceOperator
from .pose import PoseOperator


class EFFIGY_OT_relax(PoseOperator):
    bl_idname = "effigy.relax"
    bl_label = "Relax"
    bl_description = (
        "Give the face the average expression: a smile of the person's own, as in their photograph, goes away. "
        "Neutral is the face's own expression"
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy = face_in(context)
        try:
            if not face_of(proxy).own:
                identity.store_own(proxy, _ask_own(proxy))
        except RequestError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return super().execute(context)

    def change(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        controls.set_values(proxy, {item.name: -item.value for item in face_of(proxy).own})


def _ask_own(proxy: bpy.types.Object) -> dict[str, float]:
    """Asks the backend for the own expression of a face of an earlier version. Raises RequestError."""
    identities, anchor = session.reachable(), face_of(proxy).anchor
    request = replace(anchor.request(), own=True)
    answer: Identity = identities.link.wait(identities.open(request), OPEN_S if bpy.app.background else REDO_S)
    return answer.own or {}


class EFFIGY_OT_reset_attributes(FaceOperator):
    bl_idname = "effigy.reset_attributes"
    bl_label = "Reset Attributes"
    bl_description = "Give the face its own looks: every attribute to zero, and likeness to 1. Pose and expression stay"

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy, scene = face_in(context), scene_of(context)
        blocks = controls.attributes_of(proxy)
        controls.set_values(proxy, {block.name: 0.0 for block in blocks})
        face_of(proxy).keep = 1.0
        if scene.tool_settings.use_keyframe_insert_auto:
            for block in blocks:
                block.keyframe_insert("value", frame=scene.frame_current)
            proxy.keyframe_insert("effigy.keep", frame=scene.frame_current)
        return {"FINISHED"}


class EFFIGY_OT_add_attributes(FaceOperator):
    bl_idname = "effigy.add_attributes"
    bl_label = "Add Attributes"
    bl_description = "Give the face sliders for the attributes that its model has learnt since it was made"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        proxy, welcome = active_face(context), session.welcome
        if not super().poll(context):
            return False
        if proxy is None or welcome is None or not identity.missing_attributes(proxy, welcome):
            cls.poll_message_set("The face has all attributes that the backend knows of")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        if session.welcome is None:
            return {"CANCELLED"}
        identity.add_attributes(face_in(context), session.welcome)
        return {"FINISHED"}


_CLASSES = (EFFIGY_OT_relax, EFFIGY_OT_reset_attributes, EFFIGY_OT_add_attributes)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
