# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for keys, and for pictures that are painted before they are played."""

from __future__ import annotations

import bpy

from ..pictures.runs import FaceRun, run_of, runs
from ..scene.queries import face_in, scene_of
from ..translation import differing, iface_
from .panels import FacePanel
from .rows import Status, draw_status


class EFFIGY_PT_animation(FacePanel):
    bl_label = "Animation"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, scene_of(context).tool_settings
        layout.prop(settings, "use_keyframe_insert_auto", text="Auto Keying", icon="RECORD_OFF")
        layout.operator("effigy.cache", icon="MEMORY")
        draw_status(layout, _cached(run_of(face_in(context))))


def _cached(run: FaceRun) -> Status:
    """Describes whether the current frame's picture is in memory, and how many are."""
    text = iface_("In memory: {} pictures, {:.1f} MiB", len(runs.memory), runs.memory.size / 2**20)
    if run.cached.state == "stale":
        return Status("ERROR", iface_("Stale: cached with {}", differing(run.cached.differs)), text)
    if run.cached.state == "fresh":
        return Status("CHECKMARK", iface_("This frame is in memory"), text)
    return Status("BLANK1", iface_("This frame is not cached"), text)
