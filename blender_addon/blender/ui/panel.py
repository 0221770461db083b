# SPDX-License-Identifier: GPL-3.0-or-later
"""The side panel: its parts in the order in which they stand.

What every session needs is open; what is needed now and then is closed and stands below it, so that opening it moves no
slider.
"""

from __future__ import annotations

import bpy

from ..scene.queries import active_face
from . import backend_panel, face_panel
from .animation_panel import EFFIGY_PT_animation
from .attributes_panel import EFFIGY_PT_attributes
from .average_panel import EFFIGY_PT_average
from .backend_panel import EFFIGY_PT_backend
from .capture_panel import EFFIGY_PT_capture
from .face_panel import EFFIGY_PT_face
from .identity_panel import EFFIGY_PT_identity
from .library_panel import EFFIGY_PT_library
from .panels import SidePanel
from .pose_panel import EFFIGY_PT_pose
from .render_panel import EFFIGY_PT_render
from .rows import Status, is_cut, write
from .shot_panel import EFFIGY_PT_shot


class EFFIGY_PT_messages(SidePanel):
    """What does not fit into the rows that a state has, in full: last, so that nothing moves when it comes."""

    bl_label = "In Full"
    bl_order = 1000

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(_cut(context))

    def draw(self, context: bpy.types.Context) -> None:
        for status in _cut(context):
            write(self.layout, f"{status.word}: {status.text}", status.icon)


def _cut(context: bpy.types.Context) -> list[Status]:
    """Returns the states whose texts are cut."""
    proxy = active_face(context) if context.scene is not None else None
    every = [backend_panel.status(), *([face_panel.status(proxy)] if proxy is not None else [])]
    return [status for status in every if is_cut(status)]


_CLASSES = (
    EFFIGY_PT_backend,
    EFFIGY_PT_face,
    EFFIGY_PT_pose,
    EFFIGY_PT_library,
    EFFIGY_PT_identity,
    EFFIGY_PT_attributes,
    EFFIGY_PT_average,
    EFFIGY_PT_capture,
    EFFIGY_PT_animation,
    EFFIGY_PT_shot,
    EFFIGY_PT_render,
    EFFIGY_PT_messages,
)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
