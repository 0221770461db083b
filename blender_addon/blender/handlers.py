# SPDX-License-Identifier: GPL-3.0-or-later
"""The hooks into Blender: what changed, what renders, what was loaded."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import preferences, render
from .properties import face_of, faces
from .session import state


@persistent
def on_change(scene: bpy.types.Scene, depsgraph: Any) -> None:
    """The scene may have changed: the next tick looks."""
    state.dirty = True


@persistent
def on_frame(scene: bpy.types.Scene, depsgraph: Any) -> None:
    """A new frame is evaluated. While rendering, its pictures are painted here, before Blender renders it."""
    state.dirty = True
    if state.is_rendering and may_render():
        render.render_frame(scene, depsgraph)


def may_render() -> bool:
    """Whether a render may ask for pictures: it is connected, or may connect by itself."""
    return state.client is not None or not bpy.app.background or preferences.get().autostart


@persistent
def on_render_start(scene: bpy.types.Scene, *_: Any) -> None:
    state.is_rendering = True
    if not may_render() and any(face_of(proxy).source == "LIVE" for proxy in faces(scene)):
        render.give_up(
            "no backend is connected, and the preferences forbid to connect when rendering in the background"
        )


@persistent
def on_render_end(*_: Any) -> None:
    state.is_rendering = False
    state.dirty = True


@persistent
def on_load(*_: Any) -> None:
    """Another file: nothing that was known of faces holds."""
    state.runs.clear()
    state.is_rendering = False
    state.dirty = True


@persistent
def on_undo(*_: Any) -> None:
    """Undo may have changed anything, the picture's pixels included."""
    for run in state.runs.values():
        run.wanted = run.shown = None
    state.dirty = True


@persistent
def on_save(*_: Any) -> None:
    """Packs the pictures: pixels that were only written are lost with the session."""
    for image in {face_of(obj).image for obj in bpy.data.objects if face_of(obj).is_face}:
        if image is not None and image.is_dirty:
            image.pack()


_HANDLERS = (
    (bpy.app.handlers.depsgraph_update_post, on_change),
    (bpy.app.handlers.frame_change_post, on_frame),
    (bpy.app.handlers.render_init, on_render_start),
    (bpy.app.handlers.render_complete, on_render_end),
    (bpy.app.handlers.render_cancel, on_render_end),
    (bpy.app.handlers.load_post, on_load),
    (bpy.app.handlers.undo_post, on_undo),
    (bpy.app.handlers.redo_post, on_undo),
    (bpy.app.handlers.save_pre, on_save),
)


def register() -> None:
    for hook, function in _HANDLERS:
        hook.append(function)


def unregister() -> None:
    for hook, function in reversed(_HANDLERS):
        hook.remove(function)
