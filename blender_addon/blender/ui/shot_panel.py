# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for how a face stands among other things."""

from __future__ import annotations

import bpy

from ..scene import display, lit, sharpen
from ..scene.properties import face_of
from ..scene.queries import carrier_of, face_in
from ..translation import iface_
from .panels import FacePanel
from .rows import write


class EFFIGY_PT_shot(FacePanel):
    bl_label = "In the Shot"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, face_in(context)
        face, shown = face_of(proxy), carrier_of(proxy)
        layout.row(align=True).prop(face, "display", expand=True)
        layout.row(align=True).prop(face, "matte", expand=True)
        materials = display.materials_of(proxy)
        for name, slider in (("lit", lit.slider_of(materials)), ("sharpen", sharpen.slider_of(materials))):
            row = layout.row(align=True)
            row.prop(face, name, toggle=True)
            if getattr(face, name) and slider is not None:
                row.prop(slider, "default_value", text="", slider=True)
            else:
                row.label(text="As painted")
        grid = layout.grid_flow(columns=2, align=True)
        grid.prop(face, "relief")
        if shown is not None:
            grid.prop(shown, "visible_shadow", text="Casts Shadow")
            grid.prop(shown, "visible_diffuse", text="Lights")
            grid.prop(shown, "visible_glossy", text="Reflected")
        space = context.space_data  # last, since a note that comes and goes would move what is below it
        if (face.lit or face.sharpen) and isinstance(space, bpy.types.SpaceView3D) and space.shading.type == "SOLID":
            write(layout, iface_("Solid views show it as painted: choose Material Preview"), "INFO")
