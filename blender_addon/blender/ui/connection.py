# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that start the backend and stop it."""

from __future__ import annotations

import bpy

from effigy_client.provision import BackendError

from ..pictures.session import session
from ..preferences import PreferencesError


class EFFIGY_OT_connect(bpy.types.Operator):
    bl_idname = "effigy.connect"
    bl_label = "Start Backend"
    bl_description = "Start the backend, or connect to a running one, as set in the add-on's preferences"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.held:
            cls.poll_message_set(session.held)
            return False
        if session.link is not None:
            cls.poll_message_set("There is a connection already, or one that was lost: press Stop first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session.try_to_connect()
        except (BackendError, PreferencesError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class EFFIGY_OT_disconnect(bpy.types.Operator):
    bl_idname = "effigy.disconnect"
    bl_label = "Stop"
    bl_description = "Close the connection, and stop the backend if this Blender started it"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.link is None:
            cls.poll_message_set("Nothing is connected")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.disconnect()
        return {"FINISHED"}


_CLASSES = (EFFIGY_OT_connect, EFFIGY_OT_disconnect)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
