# SPDX-License-Identifier: GPL-3.0-or-later
"""A face follows a live capture: the Live Link Face app sends, the controls and the head move, keys are recorded."""

from __future__ import annotations

import traceback
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty

from effigy_client.capture.live_link import PORT, Listener
from effigy_client.capture.retarget import retarget
from effigy_client.capture.tables import Capture
from effigy_client.mirror import mirrored
from effigy_client.pose import Angles, head_rotation

from ..pictures.activity import activity
from ..scene import controls
from ..scene.properties import face_of
from ..scene.queries import face_in, name_of, scene_of
from ..translation import rpt_
from .capture_settings import CaptureSettings
from .pose import has_camera

_TICK_S = 1 / 60


class LiveCapture:
    """A capture that runs: what it hears, whom it moves and how."""

    def __init__(
        self, proxy: bpy.types.Object, listener: Listener, *, gain: float = 1.0, head: bool = True, flip: bool = False
    ) -> None:
        self.listener = listener
        self.timer: Any = None  # in a window
        self.said = ""  # the status line
        self._proxy = name_of(proxy)
        self._gain, self._head, self._flip = gain, head, flip
        self._turn: Any = None  # the last one, in the head's rotation mode

    def proxy(self, scene: bpy.types.Scene) -> bpy.types.Object | None:
        """The face, if it is still there. Looked up by name: references do not survive undo."""
        found: Any = bpy.data.objects.get(self._proxy)
        return found if found is not None and scene in found.users_scene and face_of(found).is_face else None

    def step(self, scene: bpy.types.Scene) -> None:
        """Gives the face the newest moment. While frames are baked or rendered it passes unseen."""
        moment, proxy = self.listener.newest(), self.proxy(scene)
        if moment is not None and proxy is not None and not activity.is_at_work:
            self.apply(proxy, scene, moment)

    def apply(self, proxy: bpy.types.Object, scene: bpy.types.Scene, moment: Capture) -> None:
        """Moves controls and head; with Auto Keying on, keys what was moved, at the current frame."""
        heard = retarget(moment, controls.targets_of(proxy), self._gain)
        values = {name: float(channel[0]) for name, channel in heard.items()}
        angles = Angles(*(float(moment.channels[name][0]) for name in ("yaw", "pitch", "roll")))
        if self._flip:
            values, angles = mirrored(values, controls.twins_of(proxy)), angles.mirrored
        controls.set_values(proxy, values)
        camera = controls.camera_of(proxy, scene)
        turns = self._head and camera is not None
        if turns:
            assert camera is not None
            rotation = head_rotation(angles, controls.view_of(proxy, camera))
            self._turn = controls.turn_next(proxy, rotation, self._turn)
        if scene.tool_settings.use_keyframe_insert_auto:
            controls.key_controls(proxy, scene.frame_current, values)
            if turns:
                controls.key_turn(proxy, scene.frame_current)


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
        "Let the face follow the Live Link Face app on a phone, until Stop or ESC. With Auto Keying on, what it does "
        "becomes keys: press play to record a performance"
    )
    bl_options = {"UNDO"}  # not REGISTER: a performance cannot be done again with other settings

    reach: EnumProperty(
        name="Listen To",
        description="Who may send",
        items=(
            ("LOCAL", "This Computer", "Programs on this computer only"),
            ("NETWORK", "The Network", "Everybody who can reach this computer: a phone in your own network"),
        ),
        default="LOCAL",
    )
    port: IntProperty(name="Port", description="As it is set in the app", default=PORT, min=1024, max=65535)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if bpy.app.background or context.window is None:
            cls.poll_message_set("A capture needs a window")
            return False
        if is_running():
            cls.poll_message_set("A capture runs already: stop it first")
            return False
        return has_camera(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return set(context.window_manager.invoke_props_dialog(self))

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            listener = Listener("127.0.0.1" if self.reach == "LOCAL" else "", self.port)
        except OSError as error:
            text = rpt_("Port {} cannot be listened to ({}): choose another", self.port, error.strerror)
            self.report({"ERROR"}, text)
            return {"CANCELLED"}
        self._capture = LiveCapture(face_in(context), listener, gain=self.gain, head=self.head, flip=self.flip)
        _begin(self._capture)
        manager = context.window_manager
        self._capture.timer = manager.event_timer_add(_TICK_S, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        capture, scene = self._capture, scene_of(context)
        asked = event.type == "ESC" and event.value == "PRESS"
        if asked or _running is not capture or capture.proxy(scene) is None:
            self.cancel(context)
            return {"FINISHED"}
        if event.type == "TIMER":
            try:
                capture.step(scene)
            except Exception as error:  # noqa: BLE001 whatever a scene holds: the port must be free again
                traceback.print_exc()
                self.report({"ERROR"}, rpt_("Live Capture stopped: {}", error))
                self.cancel(context)
                return {"FINISHED"}
            listener = capture.listener
            text = rpt_("Live Capture on port {}: {} packets. ESC stops", self.port, listener.packets)
            if listener.refusal:
                text += rpt_(". Something else came: {}", listener.refusal)
            if text != capture.said:  # a silent phone redraws nothing
                capture.said = text
                context.workspace.status_text_set(text)
        return {"PASS_THROUGH"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Also when Blender takes the operator away: another file, or the end."""
        if _running is self._capture:
            stop()


class EFFIGY_OT_stop_capture(bpy.types.Operator):
    bl_idname = "effigy.stop_capture"
    bl_label = "Stop Capture"
    bl_description = "Listen no more; the face stays as it is"

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
