# SPDX-License-Identifier: GPL-3.0-or-later
"""The hooks into Blender: what changed, what renders, what was loaded."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

import bpy
from bpy.app.handlers import persistent

from .pictures import preview, render
from .pictures.activity import activity, changes
from .pictures.runs import runs
from .pictures.stale import record_of
from .scene import plate, queries
from .scene.properties import face_of
from .scene.queries import faces


@persistent
def on_change(scene: bpy.types.Scene, depsgraph: Any) -> None:
    """Wakes the preview, because the scene may have changed."""
    _count(depsgraph)
    changes.mark(baked=True)
    if not activity.is_at_work:
        preview.wake()


def _count(depsgraph: Any) -> None:
    """Makes the faces be counted again when objects came or went."""
    if depsgraph.id_type_updated("COLLECTION"):
        queries.forget()
        scene = bpy.context.scene
        if scene is not None and not preview.is_running() and faces(scene):
            preview.start()  # a face was appended where no backend is: an old picture is to be told


@persistent
def on_frame(scene: bpy.types.Scene, depsgraph: Any) -> None:
    """Paints the pictures of a newly evaluated frame while rendering, before Blender renders it."""
    _count(depsgraph)
    changes.mark(baked=True)
    if activity.is_rendering:
        if depsgraph.mode == "RENDER":  # not the window's own, where somebody scrubs meanwhile
            _or_give_up(render.render_frame, scene, depsgraph)
    elif not activity.is_painting_range:
        # Exporters evaluate frames too, some in threads of their own.
        in_window = depsgraph.mode == "VIEWPORT" and scene == bpy.context.scene
        if in_window and threading.current_thread() is threading.main_thread():
            preview.recall_frame(scene, depsgraph)
        preview.wake()


@persistent
def on_render_frame(scene: bpy.types.Scene, *_: Any) -> None:
    render.begin_frame(scene)


@persistent
def on_render_start(scene: bpy.types.Scene, *_: Any) -> None:
    render.begin(scene)
    _or_give_up(render.prepare, scene)


def _or_give_up(work: Callable[..., None], *arguments: Any) -> None:
    """Calls ``work``; a failure ends the render. Blender itself would only print the exception, and go on with the
    stale picture.
    """
    try:
        work(*arguments)
    except Exception as error:  # noqa: BLE001 whatever a scene holds
        traceback.print_exc()
        for proxy in faces(arguments[0]):
            plate.show_error(proxy)
        render.give_up(f"{type(error).__name__}: {error}")


@persistent
def on_render_end(*_: Any) -> None:
    render.end()


def look_for_faces() -> None:
    """Starts the preview where the file has faces, also without a backend: a stale bake is to be told, and what a
    render asks of the window's thread is to be done.
    """
    if any(face_of(obj).is_face for obj in bpy.data.objects):
        preview.start()


@persistent
def on_load(*_: Any) -> None:
    """Forgets everything about faces, because another file was loaded."""
    queries.forget()
    runs.clear()
    preview.forget_faces()
    render.forget()
    changes.mark(baked=True)
    look_for_faces()


@persistent
def on_undo(*_: Any) -> None:
    """Looks at everything anew, because an undo may have changed even a picture's pixels."""
    queries.forget()
    runs.followers.begin_anew()
    changes.mark()


@persistent
def on_save(*_: Any) -> None:
    """Packs the pictures into the .blend, as their pixels would be lost otherwise, and notes what they show."""
    every = [obj for obj in bpy.data.objects if face_of(obj).is_face]
    faces_ = [face_of(obj) for obj in every]
    for image in {image for face in faces_ for image in (face.image, face.normal_map, face.light_map)}:
        if image is not None and image.is_dirty:
            image.pack()
    for proxy in every:
        run = runs.known(proxy)
        if proxy.library is None and run is not None and run.follower.is_known:
            shown = run.follower.shown
            face_of(proxy).shown = record_of(proxy, shown, "rgba8").digest if shown is not None else ""


_HANDLERS = (
    (bpy.app.handlers.depsgraph_update_post, on_change),
    (bpy.app.handlers.frame_change_post, on_frame),
    (bpy.app.handlers.render_init, on_render_start),
    (bpy.app.handlers.render_pre, on_render_frame),
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
    # Later, since Blender shows no data while it enables an add-on. The file may have been there before.
    bpy.app.timers.register(look_for_faces, first_interval=0.0)


def unregister() -> None:
    if bpy.app.timers.is_registered(look_for_faces):
        bpy.app.timers.unregister(look_for_faces)
    for hook, function in reversed(_HANDLERS):
        hook.remove(function)
