# SPDX-License-Identifier: GPL-3.0-or-later
"""What the side panel's parts have in common."""

from __future__ import annotations

import bpy

from ..scene.queries import active_face


class SidePanel(bpy.types.Panel):
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Effigy"


class FacePanel(SidePanel):
    """A panel of the active face."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.scene is not None and active_face(context) is not None
