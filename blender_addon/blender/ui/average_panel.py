# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for the average expression: sliders that count from it, and the button that goes there."""

from __future__ import annotations

from typing import Any

import bpy

from ..scene.controls import blocks_of
from ..scene.properties import face_of
from ..scene.queries import face_in
from .panels import FacePanel


class EFFIGY_PT_average(FacePanel):
    bl_label = "Average Expression"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("effigy.relax", icon="LOOP_BACK")
        layout.prop(face_of(face_in(context)), "absolute")


def draw_expression(column: Any, proxy: bpy.types.Object) -> None:
    """Draws the expression's sliders, counted from the face's own expression or from the average one."""
    face = face_of(proxy)
    own = {item.name: item for item in face.own} if face.absolute else {}
    for block in blocks_of(proxy):
        if (item := own.get(block.name)) is None:
            column.prop(block, "value", text=block.name, slider=True, translate=False)
        else:
            row = column.row(align=True)
            row.prop(item, "absolute", text=block.name, slider=True, translate=False)
            row.prop_decorator(block, "value")  # which is what is keyed
