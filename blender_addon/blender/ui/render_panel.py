# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for what comes last: the check, baking, rendering."""

from __future__ import annotations

import bpy

from ..scene.properties import face_of
from ..scene.queries import face_in, scene_of
from ..translation import iface_
from .exact import STANDARD
from .panels import FacePanel
from .rows import write


class EFFIGY_PT_render(FacePanel):
    bl_label = "Render"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, face_in(context)
        face, view = face_of(proxy), scene_of(context).view_settings
        column = layout.column(align=True)
        column.operator("effigy.exact_view", icon="IMAGE_RGB")
        column.operator("effigy.preflight", icon="VIEWZOOM")
        layout.row(align=True).prop(face, "bake_depth", expand=True)
        row = layout.row(align=True)
        row.operator("effigy.bake", icon="RENDER_ANIMATION")
        row.operator("effigy.show_live", icon="RECOVER_LAST")
        # Words stand below all buttons, which they would move when they come.
        if not bpy.data.filepath:
            write(layout, iface_("Bake writes beside the .blend: save it first."), "INFO")
        if view.view_transform != STANDARD:
            text = iface_("The view transform {} changes the face's contrast.", view.view_transform)
            write(layout, text, "INFO")
