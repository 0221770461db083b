# SPDX-License-Identifier: GPL-3.0-or-later
"""The side panel: the connection as it is, the active face and its sliders."""

from __future__ import annotations

from typing import Any

import bpy

from ..core.client import Phase
from . import session
from .properties import active_face, face_of

_ICONS = {
    Phase.CONNECTING: "SORTTIME",
    Phase.LOADING: "SORTTIME",
    Phase.READY: "CHECKMARK",
    Phase.LOST: "ERROR",
    Phase.REFUSED: "ERROR",
}
_LINE = 42  # characters that fit the side panel


class EFFIGY_PT_backend(bpy.types.Panel):
    bl_label = "Backend"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Effigy"

    def draw(self, context: bpy.types.Context) -> None:
        layout, link = self.layout, session.link()
        if link is None:
            layout.operator("effigy.connect", icon="PLAY")
            write(layout, session.state.problem, "ERROR")
            return
        layout.label(text=link.phase.value.capitalize(), icon=_ICONS[link.phase])  # type: ignore[arg-type]
        write(layout, link.detail)
        write(layout, link.hint, "INFO")
        if link.phase is Phase.READY and link.welcome is not None:
            layout.label(text=f"Device: {link.welcome.device}")
        layout.operator("effigy.disconnect", icon="SNAP_FACE")


class EFFIGY_PT_face(bpy.types.Panel):
    bl_label = "Face"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Effigy"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("effigy.add_face", icon="ADD")
        proxy = active_face(context)
        if proxy is None:
            write(layout, "Select a face to see its expressions.")
            return
        self._draw_state(proxy)
        self._draw_controls(proxy)
        layout.operator("effigy.face_camera", icon="CAMERA_DATA")
        row = layout.row(align=True)
        row.operator("effigy.bake", icon="RENDER_ANIMATION")
        row.operator("effigy.show_live", icon="RECOVER_LAST")
        layout.operator("effigy.exact_view", icon="IMAGE_RGB")

    def _draw_state(self, proxy: bpy.types.Object) -> None:
        layout, run = self.layout, session.run_of(proxy)
        layout.label(text=proxy.name, icon="MESH_MONKEY")
        if run.problem:
            write(layout, run.problem, "ERROR")
        elif face_of(proxy).source == "BAKED":
            layout.label(text="Shows the baked pictures", icon="FILE_IMAGE")
            first, last = face_of(proxy).baked_start, face_of(proxy).baked_end
            layout.label(text=f"Frames {first} to {last}")
        elif not session.is_ready():
            write(layout, "Not connected: the picture does not follow.", "ERROR")
        elif run.milliseconds:
            layout.label(text=f"{run.milliseconds:.0f} ms from hand to picture")
        if run.clamped:
            write(layout, f"Beyond the model's range: {', '.join(run.clamped)}", "INFO")

    def _draw_controls(self, proxy: bpy.types.Object) -> None:
        keys = proxy.data.shape_keys
        if keys is None:
            return
        column = self.layout.column(align=True)
        for block in keys.key_blocks[1:]:
            column.prop(block, "value", text=block.name, slider=True)


def write(layout: Any, text: str, icon: str = "NONE") -> None:
    """A text of any length, broken into lines of the panel's width."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) >= _LINE:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    column = layout.column(align=True)
    for number, shown in enumerate([*lines, line] if line else lines):
        column.label(text=shown, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE")


_CLASSES = (EFFIGY_PT_backend, EFFIGY_PT_face)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
