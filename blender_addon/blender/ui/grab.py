# SPDX-License-Identifier: GPL-3.0-or-later
"""Grab: drag a landmark of the face, and its expression and pose are solved to follow the hand."""

from __future__ import annotations

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, IntProperty
from bpy_extras.view3d_utils import location_3d_to_region_2d, region_2d_to_location_3d
from mathutils import Vector

from effigy_client.dragging import express, may_move, turn, turns_head
from effigy_client.pose import rotation_of

from ..pictures.activity import changes
from ..scene import controls, viewing
from ..scene.queries import active_face, face_in, scene_of
from ..translation import iface_
from .operator import is_ours

TOOL = "effigy.grab_tool"
_REACH = 24  # pixels from a landmark at which it is still picked
_LEAST = 5e-4  # change of a control that the panel shows


class Drag:
    """One drag: which landmark, from where, and the face as it stood before.

    Everything is as the scene's camera sees it (or the viewport, with Follow View), whatever view the mouse is in: that
    is what the picture shows.
    """

    def __init__(self, proxy: bpy.types.Object, camera: bpy.types.Object, landmark: int, *, mirror: bool) -> None:
        self.proxy = proxy
        self.landmark = landmark
        self.before = controls.values_of(proxy)
        self.matrix = proxy.matrix_world.copy()
        self._placement = controls.placement_of(proxy)
        self.shape = self.head = False  # whether they were changed
        self._shape = controls.shape_of(proxy)
        self._start = np.array(list(self.before.values()))
        view = viewing.view_of(proxy, camera)
        self._axes = view.axes
        self._size = float(np.mean(self.matrix.to_scale()[:]))
        self._rotation = self._axes.T @ rotation_of(view.head)
        twin = controls.twin_of(proxy, landmark)
        self.landmarks = [landmark, twin] if mirror and twin != landmark else [landmark]
        count = len(proxy.data.vertices)
        self.turns = turns_head(landmark, count)  # what it does by itself
        self._may = may_move(self.before, landmark, count)

    def place(self, landmark: int) -> Vector:
        """Returns where a landmark is in the world."""
        values = np.array(list(controls.values_of(self.proxy).values()))
        return self.proxy.matrix_world @ Vector(self._shape.points(values)[landmark].tolist())

    def to(self, target: Vector, *, by_turning: bool) -> None:
        """Solves the face so that the landmark comes to ``target`` (world), starting from the face before the drag.

        The head turns and keeps its expression, or the other way round.
        """
        wanted = (self._axes.T @ np.array(target - self.matrix.translation))[:2] / self._size
        aims = [wanted]
        if len(self.landmarks) == 2:
            # The other side makes the same move, mirrored across the face's middle plane.
            seen = self._shape.points(self._start)[self.landmarks] @ self._rotation.T
            across = self._rotation @ np.diag([-1.0, 1, 1]) @ self._rotation.T
            move = across @ np.append(wanted - seen[0, :2], 0.0)
            aims.append(seen[1, :2] + move[:2])
        what = self._shape, self._start, self._rotation, np.array(self.landmarks), np.array(aims)
        if by_turning:
            controls.set_values(self.proxy, self.before)
            controls.set_rotation(self.proxy, self._axes @ turn(*what))
        else:
            found = express(*what, self._may)
            # As many digits as the panel shows: nobody meant a hundred-thousandth of a pucker.
            found = np.where(np.abs(found - self._start) < _LEAST, self._start, np.round(found, 3))
            controls.set_values(self.proxy, dict(zip(self.before, found.tolist(), strict=True)))
            if self.head:
                controls.put_back(self.proxy, self._placement)
        self.shape, self.head = not by_turning, by_turning

    def cancel(self) -> None:
        controls.set_values(self.proxy, self.before)
        controls.put_back(self.proxy, self._placement)


class EFFIGY_OT_grab(bpy.types.Operator):
    bl_idname = "effigy.grab"
    bl_label = "Grab Landmark"
    bl_description = (
        "Drag a point of the face: its expression follows, and from nose, chin and jaw line the head's turn. "
        "Shift: expression. Ctrl: turn. X: both sides alike. Esc: take it back"
    )
    bl_options = {"REGISTER", "UNDO", "BLOCKING", "GRAB_CURSOR"}

    landmark: IntProperty(
        name="Landmark", description="−1: the one under the mouse", default=-1, min=-1, options={"SKIP_SAVE"}
    )
    mode: EnumProperty(
        name="Move",
        items=(
            ("POINT", "By Point", "Nose, chin and jaw line turn the head, all other points change the expression"),
            ("EXPRESSION", "Expression", "Keep the head's turn"),
            ("TURN", "Turn", "Keep the expression"),
        ),
        default="POINT",
    )
    mirror: BoolProperty(name="Both Sides", description="Move the mirrored landmark alike", default=False)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        proxy = active_face(context)
        if proxy is None or context.mode != "OBJECT" or controls.camera_of(proxy, scene_of(context)) is None:
            cls.poll_message_set("Select a face in object mode, in a scene with a camera")
            return False
        return is_ours(cls, proxy)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        proxy = face_in(context)
        camera, view = controls.eye_on(proxy, scene_of(context)), viewport_of(context)
        if view is None:
            self.report({"ERROR"}, "Grab works in a 3D viewport")
            return {"CANCELLED"}
        self._take_settings(context)
        landmark = self.landmark
        if not 0 <= landmark < len(proxy.data.vertices):
            landmark = pick(context, view, proxy, (event.mouse_region_x, event.mouse_region_y))
        if landmark < 0:
            return {"PASS_THROUGH"}
        self._drag = Drag(proxy, camera, landmark, mirror=self.mirror or proxy.data.use_mirror_x)
        self._depth = self._drag.place(landmark)
        self._offset = self._depth - self._under(view, event)
        self._moved = False
        context.workspace.status_text_set(
            iface_("Grab. Shift: expression. Ctrl: turn. X: both sides alike. Esc: back to where it was")
        )
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Ends the operator; Blender calls it too when another file is loaded, or when it quits."""
        if context.workspace is not None:
            context.workspace.status_text_set(None)

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type in {"ESC", "RIGHTMOUSE"}:
            self._drag.cancel()
            self.cancel(context)
            return {"CANCELLED"}
        released = event.type == "LEFTMOUSE" and event.value == "RELEASE"
        if released or (event.type in {"RET", "NUMPAD_ENTER", "SPACE"} and event.value == "PRESS"):
            if self._moved:
                drag = self._drag
                controls.auto_key(drag.proxy, scene_of(context), shape=drag.shape, head=drag.head)
            self.cancel(context)
            return {"FINISHED"} if self._moved else {"CANCELLED"}
        if event.type == "X" and event.value == "PRESS":
            self._drag.cancel()
            proxy = self._drag.proxy
            camera = controls.eye_on(proxy, scene_of(context))
            self._drag = Drag(proxy, camera, self._drag.landmark, mirror=len(self._drag.landmarks) == 1)
        elif event.type == "MOUSEMOVE" and (view := viewport_of(context)) is not None:
            self._moved = True
            self._drag.to(
                self._under(view, event) + self._offset,
                by_turning=self._turns(shift=event.shift, ctrl=event.ctrl),
            )
            changes.mark()
        return {"RUNNING_MODAL"}

    def _turns(self, *, shift: bool, ctrl: bool) -> bool:
        """Returns whether the drag turns the head: as keys say, else as the tool is set, else by the point."""
        if shift or ctrl:
            return ctrl
        return self._drag.turns if self.mode == "POINT" else self.mode == "TURN"

    def _take_settings(self, context: bpy.types.Context) -> None:
        """Copies the tool's settings, because a gizmo starts this operator without them."""
        tool = context.workspace.tools.from_space_view3d_mode("OBJECT", create=False)
        if tool is not None and tool.idname == TOOL:
            settings = tool.operator_properties(self.bl_idname)
            self.mode, self.mirror = settings.mode, settings.mirror

    def _under(self, view: Viewport, event: bpy.types.Event) -> Vector:
        """Returns the point under the mouse at the landmark's depth."""
        place = event.mouse_region_x, event.mouse_region_y
        return region_2d_to_location_3d(*view, place, self._depth)


Viewport = tuple[bpy.types.Region, bpy.types.RegionView3D]


def viewport_of(context: bpy.types.Context) -> Viewport | None:
    """Returns the 3D viewport that the mouse is in."""
    region, view = context.region, context.region_data
    return (region, view) if region is not None and view is not None else None


def pick(context: bpy.types.Context, view: Viewport, proxy: bpy.types.Object, mouse: tuple[float, float]) -> int:
    """Returns the landmark nearest to the mouse (region pixels), or −1 when none is near."""
    depsgraph = context.evaluated_depsgraph_get()
    evaluated = proxy.evaluated_get(depsgraph)
    best, reach = -1, float(_REACH) ** 2
    landmarks = len(proxy.data.vertices)  # modifiers may add more, behind them
    for index, vertex in enumerate(evaluated.data.vertices[:landmarks]):
        place = location_3d_to_region_2d(*view, evaluated.matrix_world @ vertex.co)
        if place is not None:
            distance = (place.x - mouse[0]) ** 2 + (place.y - mouse[1]) ** 2
            if distance < reach:
                best, reach = index, distance
    return best


register, unregister = bpy.utils.register_classes_factory((EFFIGY_OT_grab,))
