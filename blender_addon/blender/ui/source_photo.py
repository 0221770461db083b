# SPDX-License-Identifier: GPL-3.0-or-later
"""Source Photo: the posed face goes back into the photograph that its person was made from, at full size."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty

from effigy_client.command import Command
from effigy_client.provision import BackendError
from effigy_protocol.files import write_whole
from effigy_protocol.record import picture_file

from .. import preferences
from ..pictures import pasted, photo, redraw
from ..pictures.bake import BakeError, folder_of
from ..pictures.photo import PictureError
from ..preferences import PreferencesError
from ..scene import photograph
from ..scene.properties import face_of
from ..scene.queries import active_face, face_in, name_of, scene_of
from ..scene.reader import UnreadableError
from ..translation import iface_, n_, rpt_
from .export_keys import keys_of, read_range
from .operator import FaceOperator, WatchingOperator, is_idle, is_ours, is_saved
from .panels import FacePanel
from .rows import write

_HAIR = n_("Near there, hair and ears stay the photograph's; farther away they are the model's.")
_TAKEN = {  # whether it looks to the picture's right, and up
    (True, True): n_("Taken at {:.0f}° to the picture's right, {:.0f}° up."),
    (True, False): n_("Taken at {:.0f}° to the picture's right, {:.0f}° down."),
    (False, True): n_("Taken at {:.0f}° to the picture's left, {:.0f}° up."),
    (False, False): n_("Taken at {:.0f}° to the picture's left, {:.0f}° down."),
}
_progress = ""  # of the work that goes on, for the panel


class EFFIGY_OT_paste_into_photo(WatchingOperator):
    bl_idname = "effigy.paste_into_photo"
    bl_label = "Paste into Photo"
    bl_description = (
        "Paint the face, put it back into the photograph that it was made from, and show that around the plate, at "
        "full size. The pictures are written beside the .blend; renders show them"
    )
    bl_options = {"UNDO"}  # not REGISTER: a redo would wait for another program

    frames: EnumProperty(
        name="Frames",
        items=(
            ("CURRENT", "This Frame", "One picture, of the face as it is now"),
            ("RANGE", "All Frames", "A picture for every frame of the scene's range; those that are there stay"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        proxy = active_face(context)
        if proxy is None or photograph.square_of(face_of(proxy).latent) is None:
            cls.poll_message_set("Select a face that was made from a photograph")
            return False
        if _progress:
            cls.poll_message_set("Wait until the photograph that is pasted is done, or stop it with Esc")
            return False
        return is_saved(cls) and is_idle(cls) and is_ours(cls, proxy)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self._begin(context):
            return {"CANCELLED"}
        self._say(context, 0)
        return self.watch(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Runs the operator for scripts, and waits until it is done."""
        if not self._begin(context):
            return {"CANCELLED"}
        try:
            self._command.wait()
            return self._show()
        finally:
            self._end()

    def look(self, context: bpy.types.Context) -> set[str] | None:
        if not self._command.is_running:
            return self._show()
        written = sum(path.stat().st_mtime >= self._began for path in self._folder.glob("*.png"))
        self._say(context, written)
        return None

    def _say(self, context: bpy.types.Context, written: int) -> None:
        """Shows how far the work is, in the panel and in the status bar."""
        global _progress
        _progress = iface_("Pasting: {} of {} (Esc stops)", written, len(self._range))
        self.show_status(context, _progress)
        redraw.side_panels()

    def cancel(self, context: bpy.types.Context) -> None:
        global _progress
        _progress = ""
        self._end()
        super().cancel(context)
        self.show_status(context, None)
        redraw.side_panels()

    def _begin(self, context: bpy.types.Context) -> bool:
        """Starts the work; returns False, after a report, where that is impossible."""
        proxy, scene, chosen = face_in(context), scene_of(context), preferences.get()
        face, now = face_of(proxy), scene.frame_current
        self._face, self._began, self._keys = name_of(proxy), time.time(), Path()
        is_range = self.frames == "RANGE"
        self._range = range(scene.frame_start, scene.frame_end + 1) if is_range else range(now, now + 1)
        picture = Path(bpy.path.abspath(face.source_photo)) if face.source_photo else None
        try:
            if picture is None or not picture.is_file():
                raise ValueError(rpt_("choose the photograph that {} was made from", proxy.name))
            self._folder = folder_of(proxy).with_name(f"{folder_of(proxy).name} in photo")
            self._keys = Path(tempfile.mkdtemp(prefix="effigy-", dir=bpy.app.tempdir)) / "keys.json"
            self._latent, self._states = face.latent, read_range(proxy, scene, self._range)
            write_whole(self._keys, keys_of(proxy, self._states))
            if not photo.is_readable(picture):  # then From Photo has given the backend another file
                write_whole(given := self._keys.with_name("picture.png"), photo.of_file(picture))
                picture = given
            model = bpy.path.abspath(chosen.model) if chosen.source == "LOCAL" and chosen.model else ""
            self._command = Command(
                chosen.command, "photo", "paste", "--keys", str(self._keys), "--picture", str(picture),
                "--out", str(self._folder), *(["--model", model] if model else []),
            )  # fmt: skip
        except (BackendError, BakeError, OSError, PreferencesError, PictureError, UnreadableError, ValueError) as error:
            self._forget_keys()
            self.report({"ERROR"}, rpt_("The face cannot be pasted: {}", error))
            return False
        return True

    def _show(self) -> set[str]:
        """Shows the photograph around the plate, or reports why not; returns the operator's result."""
        proxy: Any = bpy.data.objects.get(self._face)
        try:
            if problem := self._command.problem:
                raise ValueError(problem)
            quad = photograph.square_of(self._latent)
            if proxy is None or quad is None or face_of(proxy).latent != self._latent:
                raise ValueError(rpt_("{} is gone, or somebody else now", self._face[0]))
            first = picture_file(self._folder, self._range.start)
            photograph.show(proxy, quad, first, self._range if self.frames == "RANGE" else None)
            pasted.note(proxy, self._states, is_still=self.frames == "CURRENT")
        except (RuntimeError, ValueError) as error:
            self.report({"ERROR"}, rpt_("The face cannot be pasted: {}", error))
            return {"CANCELLED"}
        self.report({"INFO"}, rpt_("Wrote {}", self._folder))
        return {"FINISHED"}

    def _end(self) -> None:
        self._command.end()
        self._forget_keys()

    def _forget_keys(self) -> None:
        """Removes the file of keys, which holds the person."""
        if self._keys.name:
            shutil.rmtree(self._keys.parent, ignore_errors=True)


class EFFIGY_OT_remove_photo(FaceOperator):
    bl_idname = "effigy.remove_photo"
    bl_label = "Take the Photograph Away"
    bl_description = "Remove the photograph from around the plate; its pictures stay on the disk"

    def execute(self, context: bpy.types.Context) -> set[str]:
        photograph.take_off(face_in(context))
        return {"FINISHED"}


class EFFIGY_PT_source_photo(FacePanel):
    bl_label = "Source Photo"
    bl_parent_id = "EFFIGY_PT_identity"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and photograph.square_of(face_of(face_in(context)).latent) is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout: Any = self.layout
        face = face_of(face_in(context))
        layout.prop(face, "source_photo", text="")
        if _progress:
            layout.label(text=_progress, icon="SORTTIME", translate=False)
        else:
            layout.label(text="The posed face, back in it:")
        row = layout.row(align=True)
        row.operator("effigy.paste_into_photo", text="This Frame", icon="IMAGE_REFERENCE").frames = "CURRENT"
        row.operator("effigy.paste_into_photo", text="All Frames", icon="RENDER_ANIMATION").frames = "RANGE"
        if face.photograph is not None:
            row.operator("effigy.remove_photo", text="", icon="X")
        taken = _TAKEN[face.rest_yaw > 0, face.rest_pitch > 0]
        taken = iface_(taken, abs(face.rest_yaw), abs(face.rest_pitch))
        write(layout, f"{taken} {iface_(_HAIR)}", "INFO")  # last, as it takes more rows in some languages


_CLASSES = (EFFIGY_OT_paste_into_photo, EFFIGY_OT_remove_photo, EFFIGY_PT_source_photo)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
