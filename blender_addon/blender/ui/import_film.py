# SPDX-License-Identifier: GPL-3.0-or-later
"""Import Film: a process reads the face in every picture of a film, and what it found becomes keyframes."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty

from effigy_client.capture.process import CaptureProcess, Written
from effigy_client.capture.tables import CaptureError, read_live_link
from effigy_client.provision import BackendError
from effigy_protocol.arkit import CLOCK

from ..pictures.activity import activity
from ..preferences import PreferencesError
from ..scene import controls
from ..scene.properties import face_of
from ..scene.queries import face_in, name_of, scene_of
from ..translation import rpt_
from . import capture_process
from .capture_keys import KeyingOperator
from .choosing import OpensFile
from .import_capture import channels_of
from .operator import WatchingOperator, hand_over, registration_in_menu
from .pose import has_camera

_FILMS = "*.mp4;*.mov;*.mkv;*.avi;*.webm;*.m4v;*.mpg;*.mpeg;*.wmv;*.ogv;*.gif"


class FilmError(Exception):
    """A film that gives no keys; the message says why."""


class FilmSettings(KeyingOperator):
    """The settings for reading a film."""

    filepath: StringProperty(subtype="FILE_PATH")
    smoothing: FloatProperty(
        name="Smoothing",
        description="Standard deviation of the smoothing, in frames, besides the filter applied to all films",
        default=0.0, min=0.0, max=20.0,
    )  # fmt: skip
    face: IntProperty(
        name="Face",
        description="Which face to follow, if there are several; the largest is 1",
        default=1,
        min=1,
        max=99,
    )
    neutral: EnumProperty(
        name="At Rest",
        description="What counts as the face at rest, looking ahead: its expression and turn are keyed from there",
        items=(
            ("MEDIAN", "Usual", "As the face is most of the time"),
            ("AVERAGE", "Average Person", "As an average person looks who faces the camera"),
            ("PICTURE", "A Picture", "As the face is in one picture of the film"),
        ),
    )
    neutral_picture: IntProperty(name="Picture", description="Its number, from 0 on", default=0, min=0)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if capture_process.is_running():
            cls.poll_message_set("A film or camera is already being read: stop that first")
            return False
        return has_camera(cls, context)


class EFFIGY_OT_import_film(OpensFile, FilmSettings):
    bl_idname = "effigy.import_film"
    bl_label = "Import Film"
    bl_description = (
        "Read the face in a film, and turn what it does into keyframes of the controls and the head. "
        "It is read on this computer, and no picture of it is kept. Esc stops"
    )
    bl_options = {"REGISTER"}  # what follows is the undo step

    filter_glob: StringProperty(default=_FILMS, options={"HIDDEN"})

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        for name in ("start", "smoothing", "gain", "head", "flip", "face", "neutral"):
            layout.prop(self, name)
        row = layout.row()
        row.active = self.neutral == "PICTURE"
        row.prop(self, "neutral_picture")

    def execute(self, context: bpy.types.Context) -> set[str]:
        return hand_over(self, context, EFFIGY_OT_read_film.bl_idname)


class Reading:
    """A film that is read, for a face that is looked up by name: references do not survive undo."""

    def __init__(self, proxy: bpy.types.Object, scene: bpy.types.Scene, film: Path, face: int, neutral: str) -> None:
        """Raises FilmError."""
        if not film.is_file():
            raise FilmError(rpt_("there is no file {}", film))
        self._proxy, self._scene = name_of(proxy), scene.name
        handle, name = tempfile.mkstemp(".csv", "effigy-film-", bpy.app.tempdir)
        os.close(handle)
        self._table = Path(name)
        try:
            self.process: CaptureProcess = capture_process.start(str(film), out=self._table, face=face, neutral=neutral)
        except (BackendError, PreferencesError) as error:
            self._table.unlink(missing_ok=True)  # what may run is another's
            raise FilmError(str(error)) from None

    @property
    def is_done(self) -> bool:
        return not self.process.is_running

    def finish(self, operator: FilmSettings) -> str:
        """Keys what was read; returns what was done. Raises FilmError or CaptureError, and then changes nothing."""
        if self.process.problem:
            raise FilmError(self.process.problem)
        if self.process.written is None:
            raise FilmError(rpt_("the backend has not answered: is it of the same release?"))
        scene: Any = bpy.data.scenes.get(self._scene)
        proxy: Any = bpy.data.objects.get(self._proxy)
        gone = scene is None or proxy is None or scene not in proxy.users_scene or not face_of(proxy).is_face
        if gone or controls.camera_of(proxy, scene) is None:
            raise FilmError(rpt_("{}, or its camera, is gone from {}", self._proxy[0], self._scene))
        capture = read_live_link(self._table, CLOCK)
        values, angles = channels_of(capture, proxy, scene.render.fps / scene.render.fps_base, operator.gain)
        left_out = self.process.left_out
        kept = {name: channel for name, channel in values.items() if name not in left_out}
        return operator.key(proxy, scene, kept, angles) + _remarks(self.process.written, left_out, operator.face)

    def end(self) -> None:
        """Ends the process, and removes its table."""
        capture_process.end()
        self._table.unlink(missing_ok=True)


def _remarks(written: Written, left_out: tuple[str, ...], face: int) -> str:
    """Returns what an artist should know of a film that was read."""
    text = ""
    if written.missing:
        text += rpt_("; {} pictures show no face: keys are drawn across", written.missing)
    if written.faces > 1:
        text += rpt_("; up to {} faces are seen, face {} by size was followed", written.faces, face)
    if left_out:
        text += rpt_("; pictures do not show {} reliably: not keyed", ", ".join(left_out))
    return text


class EFFIGY_OT_read_film(WatchingOperator, FilmSettings):
    bl_idname = "effigy.read_film"
    bl_label = "Import Film"
    bl_description = "Read a film, for Import Film"
    bl_options = {"UNDO", "INTERNAL"}

    def begin(self, context: bpy.types.Context) -> Reading:
        """Begins to read the film for the active face. Raises FilmError."""
        neutral = {"MEDIAN": "median", "AVERAGE": "none", "PICTURE": str(self.neutral_picture)}[self.neutral]
        film = Path(bpy.path.abspath(self.filepath))
        return Reading(face_in(context), scene_of(context), film, self.face, neutral)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        try:
            self._reading = self.begin(context)
        except FilmError as error:
            self.report({"ERROR"}, rpt_("The film cannot be read: {}", error))
            return {"CANCELLED"}
        context.window_manager.progress_begin(0, 1)
        return self.watch(context)

    def stopped(self) -> None:
        self.report({"WARNING"}, "Import Film stopped: nothing was changed")

    def look(self, context: bpy.types.Context) -> set[str] | None:
        if activity.is_at_work:  # whose frames must not be changed
            return None
        if self._reading.is_done:
            return self._finish(context)
        process = self._reading.process
        if process.total:
            context.window_manager.progress_update(process.done / process.total)
        self.show_status(context, rpt_("Import Film: {} of {} pictures. Esc stops", process.done, process.total or "…"))
        capture_process.look()
        return None

    def cancel(self, context: bpy.types.Context) -> None:
        self._reading.end()
        context.window_manager.progress_end()
        super().cancel(context)
        self.show_status(context, None)

    def _finish(self, context: bpy.types.Context) -> set[str]:
        try:
            said = self._reading.finish(self)
        except (FilmError, CaptureError, ValueError) as error:
            self.report({"ERROR"}, rpt_("The film cannot be read: {}", error))
            return {"CANCELLED"}
        self.report({"INFO"}, said)
        return {"FINISHED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Reads the film and waits; for scripts."""
        try:
            reading = self.begin(context)
        except FilmError as error:
            self.report({"ERROR"}, rpt_("The film cannot be read: {}", error))
            return {"CANCELLED"}
        try:
            while not reading.is_done:
                time.sleep(self.look_s)
            said = reading.finish(self)
        except (FilmError, CaptureError, ValueError) as error:
            self.report({"ERROR"}, rpt_("The film cannot be read: {}", error))
            return {"CANCELLED"}
        finally:
            reading.end()
        self.report({"INFO"}, said)
        return {"FINISHED"}


_CLASSES = (EFFIGY_OT_import_film, EFFIGY_OT_read_film)


def _menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.operator(EFFIGY_OT_import_film.bl_idname, text="Effigy: Film")


register, unregister = registration_in_menu(_CLASSES, "TOPBAR_MT_file_import", _menu)
