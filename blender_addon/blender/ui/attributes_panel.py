# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for looks: likeness, and the attributes that the face model has learnt."""

from __future__ import annotations

import bpy

from ..pictures.session import session
from ..scene.controls import attributes_of
from ..scene.identity import missing_attributes
from ..scene.properties import face_of
from ..scene.queries import face_in
from .panels import FacePanel


class EFFIGY_PT_attributes(FacePanel):
    bl_label = "Attributes"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, face_in(context)
        layout.prop(face_of(proxy), "keep", slider=True)
        blocks = attributes_of(proxy)
        column = layout.column(align=True)
        for block in blocks:
            column.prop(block, "value", text=block.name, slider=True, translate=False)
        if blocks:
            layout.operator("effigy.reset_attributes", icon="LOOP_BACK")
        else:
            layout.label(text="This model has learnt none")
        if session.welcome is not None and missing_attributes(proxy, session.welcome):
            layout.operator("effigy.add_attributes", icon="ADD")
