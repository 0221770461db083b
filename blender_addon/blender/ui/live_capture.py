# SPDX-License-Identifier: GPL-3.0-or-later
"""A face follows a live capture: a phone, a camera or a film moves controls and head, and keys are recorded.

All speak as the Live Link Face app does, over a socket: a camera and a film through the process that reads them.
"""

from __future__ import annotations

import traceback
from pathlib import Path

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from effigy_client.capture.cameras import CameraList
from effigy_client.capture.live_link import PORT, Listener
from effigy_client.capture.process import CaptureProcess
from effigy_client.provision import BackendError

from .. import preferences
from ..preferences import PreferencesError
from ..scene.queries import face_in, scene_of
from ..translation import iface_, rpt_
from . import capture_process
from .capture_motion import LiveCapture
from .capture_settings import CaptureSettings
from .pose import has_camera
from .rows import write

_TICK_S = 1 / 60

_running: LiveCapture | None = None


def is_running() -> bool:
    return _running is not None


def _begin(capture: LiveCapture) -> None:
    global _running
    _running = capture


class EFFIGY_OT_live_capture(CaptureSettings, bpy.types.Operator):
    bl_idname = "effigy.live_capture"
    bl_label = "Live Capture"
    bl_description = (
        "Let the face follow the Live Link Face app on a phone, a camera of this computer or a film, until Stop or "
        "Esc. With Auto Keying on, what it does becomes keys: press play to record a performance. "
        "No picture is kept"
    )
    bl_options = {"UNDO"}  # not REGISTER: a performance cannot be done again with other settings

    _capture: LiveCapture | None = None  # once it has begun

    source: EnumProperty(
        name="Source",
        description="Whose face is followed",
        items=(
            ("PHONE", "Phone", "The Live Link Face app on a phone sends what it sees"),
            ("CAMERA", "Camera", "A camera of this computer: its light is on until the capture ends"),
            ("FILM", "Film", "A film's file, at its own speed"),
        ),
    )
    camera: IntProperty(name="Camera", description="Its number: 0 is the first", default=0, min=0, max=63)
    film: StringProperty(name="Film", description="The film's file", subtype="FILE_PATH")
    face: IntProperty(
        name="Face",
        description="Which face to follow, if a camera or film shows several; the largest is 1",
        default=1,
        min=1,
        max=99,
    )
    reach: EnumProperty(
        name="Listen To",
        description="Who may send",
        items=(
            ("LOCAL", "This Computer", "Programs on this computer only"),
            ("NETWORK", "The Network", "Everybody who can reach this computer: a phone in your own network"),
        ),
        default="LOCAL",
    )
    port: IntProperty(name="Port", description="The port that is set in the app", default=PORT, min=1024, max=65535)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if bpy.app.background or context.window is None:
            cls.poll_message_set("A capture needs a window")
            return False
        if is_running() or capture_process.is_running():
            cls.poll_message_set("A capture is already running: stop it first")
            return False
        return has_camera(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._cameras: CameraList | None = None
        return set(context.window_manager.invoke_props_dialog(self))

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.row().prop(self, "source", expand=True)
        asked = {"PHONE": ("reach", "port"), "CAMERA": ("camera", "face"), "FILM": ("film", "face")}[self.source]
        for name in (*asked, "gain", "head", "flip"):
            layout.prop(self, name)
        if self.source == "CAMERA":
            write(layout, self._known_cameras(), "INFO")

    def _known_cameras(self) -> str:
        """Describes the computer's cameras, which are looked for when this is first called."""
        if self._cameras is None:
            self._cameras = CameraList(preferences.get().command)
        if self._cameras.found is None:
            return iface_("Looking for cameras: move the mouse over this")
        names = [f"{number}: {name}" for number, name in self._cameras.found]
        return ", ".join(names) or self._cameras.problem or iface_("This computer has no camera: plug one in")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            listener, process = self._open()
        except OSError as error:
            text = rpt_("Port {} cannot be listened to ({}): choose another", self.port, error.strerror)
            self.report({"ERROR"}, text)
            return {"CANCELLED"}
        except (BackendError, PreferencesError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        proxy = face_in(context)
        self._capture = LiveCapture(proxy, listener, process, gain=self.gain, head=self.head, flip=self.flip)
        _begin(self._capture)
        manager = context.window_manager
        self._capture.timer = manager.event_timer_add(_TICK_S, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def _open(self) -> tuple[Listener, CaptureProcess | None]:
        """Opens the port, and starts the process that sends to it unless a phone does. Raises OSError, BackendError or
        ValueError.
        """
        if self.source == "PHONE":
            return Listener("127.0.0.1" if self.reach == "LOCAL" else "", self.port), None
        film = Path(bpy.path.abspath(self.film))
        if self.source == "FILM" and not film.is_file():
            raise ValueError(rpt_("There is no film {}: choose a file", film) if self.film else rpt_("Choose a film"))
        listener = Listener("127.0.0.1", 0)
        try:
            source = str(film) if self.source == "FILM" else str(self.camera)
            return listener, capture_process.start(source, port=listener.port, face=self.face)
        except (BackendError, PreferencesError):
            listener.close()
            raise

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        capture, scene = self._capture, scene_of(context)
        if capture is None:  # it was never begun
            return {"CANCELLED"}
        asked = event.type == "ESC" and event.value == "PRESS"
        if asked or _running is not capture or capture.proxy(scene) is None:
            return self._finish(context, capture)
        if event.type == "TIMER":
            try:
                capture.step(scene)
            except Exception as error:  # noqa: BLE001 whatever a scene holds: the port must be free again
                traceback.print_exc()
                self.report({"ERROR"}, rpt_("Live Capture stopped: {}", error))
                return self._finish(context, capture)
            if capture.has_ended:
                return self._finish(context, capture)
            capture_process.look()
            if (text := capture.status()) != capture.said:  # a silent phone redraws nothing
                capture.said = text
                context.workspace.status_text_set(text)
        return {"PASS_THROUGH"}

    def _finish(self, context: bpy.types.Context, capture: LiveCapture) -> set[str]:
        """Ends it; says why a camera or film gives no more, and what was left alone."""
        if capture.process is not None and capture.process.problem:
            self.report({"ERROR"}, rpt_("Live Capture stopped: {}", capture.process.problem))
        elif capture.left_out:
            names = ", ".join(capture.left_out)
            self.report({"INFO"}, rpt_("Pictures do not show {} reliably: left as they are", names))
        self.cancel(context)
        return {"FINISHED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Ends the operator; Blender calls it too for another file, when it quits, or when the dialog is cancelled."""
        if self._capture is not None and _running is self._capture:
            stop()


class EFFIGY_OT_stop_capture(bpy.types.Operator):
    bl_idname = "effigy.stop_capture"
    bl_label = "Stop Capture"
    bl_description = "End the capture: stop listening, and switch the camera off. The face stays as it is"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not is_running():
            cls.poll_message_set("No capture runs")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        stop()
        return {"FINISHED"}


def stop() -> None:
    """Frees the port and takes the timer away; does nothing when no capture runs."""
    global _running
    capture, _running = _running, None
    if capture is None:
        return
    capture.listener.close()
    if capture.process is not None:
        capture_process.end()
    if capture.timer is not None:
        bpy.context.window_manager.event_timer_remove(capture.timer)
    if bpy.context.workspace is not None:
        bpy.context.workspace.status_text_set(None)


_CLASSES = (EFFIGY_OT_live_capture, EFFIGY_OT_stop_capture)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    stop()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
