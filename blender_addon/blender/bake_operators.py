# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons Bake and Back to Live."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import bpy

from ..core.client import RequestError
from ..protocol.messages import Synthesize
from . import preferences, session
from .bake import FAILURES, Bake, bake_frames, show_live
from .properties import active_face, face_of
from .scene_reader import FaceState
from .session import state


class EFFIGY_OT_bake(bpy.types.Operator):
    bl_idname = "effigy.bake"
    bl_label = "Bake"
    bl_description = (
        "Paint the scene's frame range to PNG files beside the .blend and show them on the plate: "
        "they render anywhere, without a backend and without this add-on. ESC stops"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if active_face(context) is None:
            cls.poll_message_set("Select a face")
            return False
        if not bpy.data.filepath:
            cls.poll_message_set("Save the .blend first: the pictures are written beside it")
            return False
        if state.is_baking or state.is_rendering:
            cls.poll_message_set("Wait until the bake or render that runs is done")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """In a window nothing waits: each timer event looks whether the next picture has come."""
        if not session.is_ready():
            self.report({"ERROR"}, "Start the backend first, and wait until it is ready")
            return {"CANCELLED"}
        try:
            self._begin(context)
        except FAILURES as error:
            return self._stop(context, f"Bake cannot start: {error}")
        manager = context.window_manager
        manager.progress_begin(0, context.scene.frame_end - context.scene.frame_start + 1)
        self._timer = manager.event_timer_add(0.01, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC":
            written = len(self._bake.written)
            return self._stop(context, f"Bake stopped after {written} frames; their files are kept")
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            if self._step():
                return self._finish(context)
        except FAILURES as error:
            return self._stop(context, f"Bake stopped: {error}")
        context.window_manager.progress_update(len(self._bake.written))
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender takes the operator away: another file, or the end."""
        self._stop(context, "Bake stopped")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """For scripts: all frames at once."""
        proxy = active_face(context)
        assert proxy is not None
        assert context.scene is not None
        if face_of(proxy).source == "BAKED":
            show_live(proxy)
        state.is_baking = True
        try:
            written = list(bake_frames(proxy, context.scene))
        except FAILURES as error:
            self.report({"ERROR"}, f"Bake stopped: {error}")
            return {"CANCELLED"}
        finally:
            state.is_baking = False
        self.report({"INFO"}, f"{len(written)} frames in {written[0].parent}")
        return {"FINISHED"}

    def _begin(self, context: bpy.types.Context) -> None:
        proxy = active_face(context)
        assert proxy is not None
        assert context.scene is not None
        if face_of(proxy).source == "BAKED":
            show_live(proxy)
        self._identity: Future[Any] | None = None
        self._picture: Future[Any] | None = None
        self._wanted: FaceState | None = None
        self._bake = Bake(proxy, context.scene)
        client = session.state.client
        assert client is not None
        self._identity = client.ask(session.open_request(proxy), session.OPEN_S)
        state.is_baking = True

    def _step(self) -> bool:
        """Moves on if the answer that is waited for has come; True when all frames are written."""
        assert self._identity is not None
        waiting = self._picture or self._identity
        if not waiting.done():
            return False
        if self._picture is not None:
            assert self._wanted is not None
            self._bake.keep(self._wanted, self._picture.result())
            self._picture = None
        if self._bake.is_done:
            return True
        wanted = self._wanted = self._bake.read()
        key = self._identity.result().identity
        request = Synthesize(key, wanted.yaw, wanted.pitch, dict(wanted.controls), "final", "png")
        client = state.client
        if client is None or not session.is_ready():
            raise RequestError("lost", "the connection to the backend is lost", "start it again")
        self._picture = client.ask(request, preferences.get().timeout)
        return False

    def _finish(self, context: bpy.types.Context) -> set[str]:
        try:
            self._bake.finish()
        except FAILURES as error:
            return self._stop(context, f"Bake stopped: {error}")
        written = self._bake.written
        self.report({"INFO"}, f"{len(written)} frames in {written[0].parent}")
        self._leave(context)
        return {"FINISHED"}

    def _stop(self, context: bpy.types.Context, why: str) -> set[str]:
        if bake := getattr(self, "_bake", None):
            bake.abandon()
        self.report({"WARNING"}, why)
        self._leave(context)
        return {"CANCELLED"}

    def _leave(self, context: bpy.types.Context) -> None:
        state.is_baking = False
        state.dirty = True
        if timer := getattr(self, "_timer", None):
            context.window_manager.event_timer_remove(timer)
            context.window_manager.progress_end()


class EFFIGY_OT_show_live(bpy.types.Operator):
    bl_idname = "effigy.show_live"
    bl_label = "Back to Live"
    bl_description = "Let the backend paint the plate again; the baked files are kept"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        proxy = active_face(context)
        if proxy is None or face_of(proxy).source != "BAKED":
            cls.poll_message_set("Select a face that shows baked pictures")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy = active_face(context)
        assert proxy is not None
        show_live(proxy)
        return {"FINISHED"}


_CLASSES = (EFFIGY_OT_bake, EFFIGY_OT_show_live)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
