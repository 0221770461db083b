# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that go through a frame range: Bake, Cache, and Back to Live."""

from __future__ import annotations

import traceback
from typing import Any, Protocol

import bpy

from ..pictures.activity import activity
from ..pictures.bake import FAILURES, Bake, reason, show_live
from ..pictures.cache import Cache
from ..pictures.layers import Layers
from ..pictures.runs import runs
from ..pictures.session import session
from ..pictures.walk import Walk
from ..scene.properties import face_of
from ..scene.queries import active_face, face_in, scene_of
from ..translation import rpt_
from .operator import can_ask, is_idle, is_ours, is_saved

_WAIT_S = 0.1  # for one answer, until a script looks whether all is well


class Work(Protocol):
    """A bake or the like: goes through frames step by step and never waits."""

    walk: Walk
    done: int  # frames whose picture is kept

    def step(self) -> int: ...
    def finish(self) -> None: ...
    def abandon(self) -> None: ...


def complete(work: Work) -> None:
    """Does all of ``work`` and waits, for scripts. Raises FAILURES. If it fails or is interrupted it is abandoned."""
    try:
        while not work.walk.is_done:
            before = work.done
            if work.step() == before:
                work.walk.wait(_WAIT_S)
        work.finish()
    except BaseException:
        work.abandon()
        raise


class RangeOperator(bpy.types.Operator):
    """An operator that does its work while the window lives on. Esc stops it; what is done is kept."""

    noun = ""  # how its messages begin
    writes_files = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        proxy = active_face(context)
        if cls.writes_files and not is_saved(cls):
            return False
        if proxy is None:
            cls.poll_message_set("Select a face")
            return False
        return is_ours(cls, proxy) and is_idle(cls) and can_ask(cls)

    def begin(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> Work:
        raise NotImplementedError

    def summary(self, work: Any) -> str:
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        try:
            self._work = self.begin(face_in(context), scene_of(context))
        except FAILURES as error:
            self.report({"WARNING"}, rpt_("{} cannot start: {}", rpt_(self.noun), reason(error)))
            return {"CANCELLED"}
        activity.begin_range()
        manager = context.window_manager
        manager.progress_begin(0, self._work.walk.total)
        self._timer = manager.event_timer_add(0.004, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if activity.is_rendering:  # whose frames must not be changed
            return {"PASS_THROUGH"}
        if event.type == "ESC":
            return self._stop(
                context,
                rpt_("{} stopped after {} frames, which are kept", rpt_(self.noun), self._work.done),
            )
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            done = self._work.step()
            if self._work.walk.is_done:
                self._work.finish()
                self._leave(context)
                self.report({"INFO"}, self.summary(self._work))
                return {"FINISHED"}
        except FAILURES as error:
            return self._stop(
                context,
                rpt_("{} stopped after {} frames: {}", rpt_(self.noun), self._work.done, reason(error)),
            )
        except Exception as error:  # noqa: BLE001 whatever it is, the preview must live on
            traceback.print_exc()
            return self._stop(context, rpt_("{} stopped: {}", rpt_(self.noun), f"{type(error).__name__}: {error}"))
        context.window_manager.progress_update(done)
        text = rpt_("{}: {} of {} frames. Esc stops", rpt_(self.noun), done, self._work.walk.total)
        context.workspace.status_text_set(text)
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Ends the operator, because another file is loaded or Blender quits."""
        self._stop(context, rpt_("{} stopped", rpt_(self.noun)))

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Goes through all frames at once; for scripts."""
        try:
            session.ensure_ready()
            work = self.begin(face_in(context), scene_of(context))
        except FAILURES as error:
            self.report({"ERROR"}, rpt_("{} cannot start: {}", rpt_(self.noun), reason(error)))
            return {"CANCELLED"}
        try:
            with activity.range():
                complete(work)
        except FAILURES as error:
            self.report({"ERROR"}, rpt_("{} stopped after {} frames: {}", rpt_(self.noun), work.done, reason(error)))
            return {"CANCELLED"}
        self.report({"INFO"}, self.summary(work))
        return {"FINISHED"}

    def _stop(self, context: bpy.types.Context, why: str) -> set[str]:
        self._work.abandon()
        self.report({"WARNING"}, why)
        self._leave(context)
        return {"CANCELLED"}

    def _leave(self, context: bpy.types.Context) -> None:
        activity.end_range()
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        context.workspace.status_text_set(None)


class EFFIGY_OT_bake(RangeOperator):
    bl_idname = "effigy.bake"
    bl_label = "Bake"
    bl_description = (
        "Paint the scene's frame range to PNG files beside the .blend and show them on the plate: they render "
        "anywhere, without a backend and without this add-on. Frames that are up to date are kept. Esc stops"
    )
    bl_options = {"UNDO"}  # it switches the plate to its pictures
    noun = "Bake"

    def begin(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> Work:
        return Bake(proxy, scene)

    def summary(self, work: Bake) -> str:
        kept = work.walk.total - work.painted
        text = rpt_("{} frames painted, {} kept, in {}", work.painted, kept, work.folder)
        if work.clamped:
            text += rpt_("; {} ask beyond the model's range and were limited", work.clamped)
        return text


class EFFIGY_OT_bake_layers(RangeOperator):
    bl_idname = "effigy.bake_layers"
    bl_label = "Bake Layers"
    bl_description = (
        "Write the scene's frame range to OpenEXR files beside the .blend, for compositing: the picture in linear "
        "light, its normals, its depth in metres from the camera, and its colour without light. The scene stays as it "
        "is. Esc stops"
    )
    noun = "Bake Layers"

    def begin(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> Work:
        return Layers(proxy, scene)

    def summary(self, work: Layers) -> str:
        return rpt_("{} frames painted, {} kept, in {}", work.painted, work.walk.total - work.painted, work.folder)


class EFFIGY_OT_cache(RangeOperator):
    bl_idname = "effigy.cache"
    bl_label = "Cache"
    bl_description = (
        "Paint the scene's frame range into memory, so that scrubbing and playback show exact pictures at once. What "
        "changes is painted again automatically. Esc stops"
    )
    noun = "Cache"
    writes_files = False

    def begin(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> Work:
        return Cache(proxy, scene)

    def summary(self, work: Cache) -> str:
        return rpt_("{} frames are in memory ({:.1f} MiB in all)", work.walk.total, runs.memory.size / 2**20)


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
        return is_ours(cls, proxy)

    def execute(self, context: bpy.types.Context) -> set[str]:
        show_live(face_in(context))
        return {"FINISHED"}


_CLASSES = (EFFIGY_OT_bake, EFFIGY_OT_bake_layers, EFFIGY_OT_cache, EFFIGY_OT_show_live)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
