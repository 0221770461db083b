# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool that drags points of the face: a dot on every landmark, and its settings in the viewport's header."""

from __future__ import annotations

from typing import Any

import bpy
from mathutils import Matrix

from ..scene.queries import active_face, face_in
from .grab import TOOL, EFFIGY_OT_grab

_DOT = 0.05  # of the gizmo's size setting


class EFFIGY_GGT_landmarks(bpy.types.GizmoGroup):
    """A dot on every landmark; dragging one starts Grab on it."""

    bl_idname = "EFFIGY_GGT_landmarks"
    bl_label = "Effigy Landmarks"
    bl_space_type = "VIEW_3D"
    bl_region_type = "WINDOW"
    bl_options = {"3D", "PERSISTENT"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT" or active_face(context) is None:
            return False
        tool = context.workspace.tools.from_space_view3d_mode("OBJECT", create=False)
        return tool is not None and tool.idname == TOOL

    def setup(self, context: bpy.types.Context) -> None:
        self._dots: list[Any] = []

    def refresh(self, context: bpy.types.Context) -> None:
        proxy = active_face(context)
        if proxy is None:
            return
        count = len(proxy.data.vertices)
        while len(self._dots) < count:
            self._dots.append(self._dot(len(self._dots)))
        for index, dot in enumerate(self._dots):
            dot.hide = index >= count
        self._place(context, proxy)

    def draw_prepare(self, context: bpy.types.Context) -> None:
        proxy = active_face(context)
        if proxy is not None:
            self._place(context, proxy)

    def _dot(self, landmark: int) -> Any:
        dot: Any = self.gizmos.new("GIZMO_GT_move_3d")
        dot.draw_style = "RING_2D"
        dot.draw_options = {"FILL", "ALIGN_VIEW"}
        dot.scale_basis = _DOT
        # Light rings that darken under the mouse: told apart by brightness, not by hue.
        dot.color, dot.alpha = (1.0, 1.0, 1.0), 0.6
        dot.color_highlight, dot.alpha_highlight = (1.0, 0.85, 0.2), 1.0
        dot.use_draw_modal = True
        dot.target_set_operator(EFFIGY_OT_grab.bl_idname).landmark = landmark
        return dot

    def _place(self, context: bpy.types.Context, proxy: bpy.types.Object) -> None:
        evaluated = proxy.evaluated_get(context.evaluated_depsgraph_get())
        for dot, vertex in zip(self._dots, evaluated.data.vertices, strict=False):
            dot.matrix_basis = Matrix.Translation(evaluated.matrix_world @ vertex.co)


class EFFIGY_TOOL_grab(bpy.types.WorkSpaceTool):
    bl_space_type = "VIEW_3D"
    bl_context_mode = "OBJECT"
    bl_idname = TOOL
    bl_label = "Effigy Grab"
    bl_description = "Drag a point of the face: expression and turn follow. Shift: expression only. Ctrl: turn only"
    bl_icon = "ops.generic.select_circle"
    bl_widget = EFFIGY_GGT_landmarks.bl_idname
    bl_keymap = ((EFFIGY_OT_grab.bl_idname, {"type": "LEFTMOUSE", "value": "PRESS", "any": True}, None),)

    @staticmethod
    def draw_settings(context: bpy.types.Context, layout: Any, tool: Any) -> None:
        properties = tool.operator_properties(EFFIGY_OT_grab.bl_idname)
        layout.prop(properties, "mode", expand=True)
        layout.prop(properties, "mirror")


class EFFIGY_OT_use_grab(bpy.types.Operator):
    bl_idname = "effigy.use_grab"
    bl_label = "Grab"
    bl_description = "Activate the tool that drags points of the face"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if active_face(context) is None or context.mode != "OBJECT":
            cls.poll_message_set("Select a face, in object mode")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.view_layer.objects.active = face_in(context)
        bpy.ops.wm.tool_set_by_id(name=TOOL)
        return {"FINISHED"}


_CLASSES: tuple[Any, ...] = (EFFIGY_GGT_landmarks, EFFIGY_OT_use_grab)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    if not bpy.app.background:
        bpy.utils.register_tool(EFFIGY_TOOL_grab, separator=True)


def unregister() -> None:
    if not bpy.app.background:
        bpy.utils.unregister_tool(EFFIGY_TOOL_grab)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
