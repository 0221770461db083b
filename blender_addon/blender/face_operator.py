# SPDX-License-Identifier: GPL-3.0-or-later
"""What every operator on a face shares."""

from __future__ import annotations

import bpy

from .properties import active_face


class FaceOperator(bpy.types.Operator):
    """An operator on the active face, which it needs."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if active_face(context) is None:
            cls.poll_message_set("Select a face")
            return False
        return True
