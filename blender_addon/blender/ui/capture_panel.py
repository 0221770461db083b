# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for what moves a face from outside: pictures, films, cameras, phones and their recordings."""

from __future__ import annotations

import bpy

from ..scene.properties import face_of
from ..scene.queries import face_in
from . import capture_process, landmarks_overlay, live_capture
from .panels import FacePanel
from .rows import draw_status, write


class EFFIGY_PT_capture(FacePanel):
    bl_label = "Capture"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        column = layout.column(align=True)
        column.operator("effigy.pose_from_picture", icon="IMAGE_DATA")
        column.prop(face_of(face_in(context)), "neutral_picture")
        column = layout.column(align=True)
        column.operator("effigy.import_film", icon="FILE_MOVIE")
        if not live_capture.is_running():
            column.operator("effigy.live_capture", icon="OUTLINER_OB_CAMERA")
        else:
            column.operator("effigy.stop_capture", icon="PAUSE")
        draw_status(layout, capture_process.status())
        column = layout.column(align=True)
        column.operator("effigy.import_arkit", icon="IMPORT")
        column.operator("effigy.import_landmarks", icon="IMPORT")
        column.operator("effigy.export_arkit", icon="EXPORT")
        column = layout.column(align=True)
        column.prop(context.window_manager, "effigy_read_landmarks", icon="OVERLAY", toggle=True)
        if text := landmarks_overlay.state(face_in(context)):  # last: it comes and goes
            write(column, text)
