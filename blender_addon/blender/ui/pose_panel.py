# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part that every session needs: which camera or viewport sees a face, its controls, its pose."""

from __future__ import annotations

import bpy

from ..scene.controls import camera_of
from ..scene.queries import face_in, scene_of
from ..scene.viewing import viewpoint
from ..translation import iface_
from .average_panel import draw_expression
from .panels import FacePanel


class EFFIGY_PT_pose(FacePanel):
    bl_label = "Pose and Expression"
    bl_parent_id = "EFFIGY_PT_face"

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, face_in(context)
        row = layout.row(align=True)
        row.label(text=_seen_by(proxy, scene_of(context)), icon="HIDE_OFF", translate=False)
        row.operator("effigy.follow_view", depress=viewpoint.is_on)
        layout.operator("effigy.use_grab", text="Grab Points of the Face", icon="VIEW_PAN")
        column = layout.column(align=True)
        draw_expression(column, proxy)
        grid = layout.grid_flow(columns=2, align=True)
        grid.operator("effigy.neutral", icon="LOOP_BACK")
        grid.operator("effigy.randomise", icon="QUESTION")
        grid.operator("effigy.mirror", icon="MOD_MIRROR")
        grid.operator("effigy.key_all", icon="KEY_HLT")
        grid.operator("effigy.reset_pose", icon="ORIENTATION_LOCAL")
        grid.operator("effigy.face_camera", icon="CAMERA_DATA")


def _seen_by(proxy: bpy.types.Object, scene: bpy.types.Scene) -> str:
    """Returns the name of what sees the face: the viewport, or a camera."""
    if viewpoint.counts:
        return iface_("The viewport")
    camera = camera_of(proxy, scene)
    return camera.name if camera is not None else iface_("No camera")
