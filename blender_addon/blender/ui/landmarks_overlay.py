# SPDX-License-Identifier: GPL-3.0-or-later
"""Show Read Landmarks: over the plate, where a face's landmarks were asked to be, and where its picture has them."""

from __future__ import annotations

import contextlib
import traceback
from typing import Any

import bpy
import gpu
import numpy as np
from bpy.props import BoolProperty
from gpu_extras.batch import batch_for_shader

from ..pictures import redraw
from ..pictures.activity import activity
from ..pictures.read_landmarks import read_landmarks
from ..pictures.session import session
from ..scene import plate
from ..scene.queries import active_face
from ..translation import iface_

# Told apart by size as well as by colour.
_ASKED, _ASKED_PIXELS = (1.0, 0.55, 0.1, 1.0), 2.5
_READ, _READ_PIXELS = (0.25, 0.9, 1.0, 0.9), 1.2
_LOOK_S = 0.2

_drawing: Any = None  # Blender's handle


def is_shown() -> bool:
    return bool(getattr(bpy.context.window_manager, "effigy_read_landmarks", False))


def state(proxy: bpy.types.Object) -> str:
    """Describes the state of reading in a few words."""
    if not is_shown():
        return ""
    found = read_landmarks.of(proxy)
    if found is None:
        return iface_("They are read when the face is at rest.")
    return found.problem or iface_("Large: requested. Small: read.")


def on_plate(places: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Maps places [N, 2] in a picture, from 0 to 1, x right and y down, to points in the world [N, 3] on a plate."""
    flat = np.column_stack([places[:, 0] - 0.5, 0.5 - places[:, 1], np.zeros(len(places)), np.ones(len(places))])
    return np.asarray((flat @ matrix.T)[:, :3])


def asked_places(proxy: bpy.types.Object, matrix: np.ndarray, depsgraph: bpy.types.Depsgraph) -> np.ndarray:
    """Returns where the proxy's landmarks are in the picture, [N, 2], as ``on_plate`` takes them."""
    count = len(proxy.data.vertices)  # modifiers may add more, behind them
    evaluated: Any = proxy.evaluated_get(depsgraph)
    points = np.empty(3 * len(evaluated.data.vertices), np.float32)
    evaluated.data.vertices.foreach_get("co", points)
    own = points.reshape(-1, 3)[:count]  # a modifier may also leave fewer
    local = np.column_stack([own, np.ones(len(own))])
    seen = local @ (np.linalg.inv(matrix) @ np.array(evaluated.matrix_world)).T
    return np.column_stack([seen[:, 0] + 0.5, 0.5 - seen[:, 1]])


def _draw() -> None:
    """Draws the landmarks in every 3D viewport, behind its panels."""
    context = bpy.context
    proxy = active_face(context) if context.scene is not None else None
    if proxy is None or not is_shown() or not context.space_data.overlay.show_overlays:
        return
    matrix = plate.matrix(proxy)
    if abs(np.linalg.det(matrix)) < 1e-12:
        return
    asked = on_plate(asked_places(proxy, matrix, context.evaluated_depsgraph_get()), matrix)
    found = read_landmarks.of(proxy)
    gpu.state.blend_set("ALPHA")
    if found is not None and len(found.points):
        _draw_dots(context, on_plate(found.points, matrix), _READ_PIXELS, _READ)
    _draw_dots(context, asked, _ASKED_PIXELS, _ASKED)
    gpu.state.blend_set("NONE")


def _draw_dots(context: bpy.types.Context, points: np.ndarray, size: float, colour: tuple[float, ...]) -> None:
    """Draws squares of 2 × ``size`` pixels, at points in the world [N, 3]."""
    region, view = context.region, context.region_data
    if region is None or view is None:
        return
    seen = np.column_stack([points, np.ones(len(points))]) @ np.array(view.perspective_matrix).T
    seen = seen[seen[:, 3] > 0]  # the others are behind who looks
    middle = (seen[:, :2] / seen[:, 3:] + 1) / 2 * (region.width, region.height)
    reach = size * context.preferences.system.ui_scale
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, -1), (1, 1), (-1, 1)]) * reach
    vertices = (middle[:, None] + corners).reshape(-1, 2).astype(np.float32)
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.uniform_float("color", colour)
    batch_for_shader(shader, "TRIS", {"pos": vertices.tolist()}).draw(shader)


def tick() -> float | None:
    """Runs ``look`` as a timer of Blender's while landmarks are shown."""
    if not is_shown():
        return None
    try:
        look()
    except Exception:  # noqa: BLE001 Blender drops a timer that raises
        traceback.print_exc()
    return _LOOK_S


def look() -> None:
    """Makes the active face's picture be read while it is at rest."""
    context = bpy.context
    proxy = active_face(context) if context.scene is not None else None
    if proxy is None or session.identities is None or not session.is_ready or activity.is_at_work:
        return
    if read_landmarks.poll(proxy, session.identities):
        redraw.side_panels()
        redraw.viewports()


def _toggled(manager: Any, context: bpy.types.Context) -> None:
    global _drawing
    if _drawing is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_drawing, "WINDOW")
        _drawing = None
        read_landmarks.forget()
    if manager.effigy_read_landmarks:
        _drawing = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")
        if not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, first_interval=0.0, persistent=True)


def register() -> None:
    bpy.types.WindowManager.effigy_read_landmarks = BoolProperty(  # type: ignore[attr-defined]
        name="Show Read Landmarks",
        description="Over the plate: where the landmarks should be, and where they are in the picture",
        update=_toggled,
        options={"SKIP_SAVE"},
    )


def unregister() -> None:
    global _drawing
    if _drawing is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_drawing, "WINDOW")
        _drawing = None
    read_landmarks.forget()
    with contextlib.suppress(ValueError):
        bpy.app.timers.unregister(tick)
    del bpy.types.WindowManager.effigy_read_landmarks  # type: ignore[attr-defined]
