# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for expressions that are kept."""

from __future__ import annotations

import bpy

from ..translation import iface_
from . import library
from .panels import FacePanel


class EFFIGY_PT_library(FacePanel):
    bl_label = "Library"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("effigy.store_expression", icon="ADD")
        if library.names():
            manager = context.window_manager
            layout.template_icon_view(manager, "effigy_expression", show_labels=True, scale=4.0)
            if chosen := manager.effigy_expression:  # none is, when another Blender has removed it
                row = layout.row(align=True)
                apply = row.operator(
                    "effigy.apply_expression", text=iface_("Apply {}", chosen), translate=False, icon="CHECKMARK"
                )
                apply.name = chosen
                row.operator("effigy.remove_expression", text="", icon="TRASH").name = chosen
