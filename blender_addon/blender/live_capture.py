# SPDX-License-Identifier: GPL-3.0-or-later
"""A face follows a live capture: the Live Link Face app sends, the controls and the head move, keys are recorded."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from ..core.capture import Capture
from ..core.live_link import PORT, Listener
from ..core.pose import Angles
from ..core.retarget import Target, retarget
from . import controls
from .pose_operators import CameraOperator
from .properties import face_in, face_of, scene_of
from .session import state

_TICK_S = 1 / 60


def apply(
    proxy: bpy.types.Object, scene: bpy.types.Scene, moment: Capture, *, gain: float, head: bool, flip: bool
) -> None:
    """Gives the face a captured moment; with Auto Keying on, as keys at the current frame."""
    targets = [Target(block.name, block.slider_min, block.slider_max) for block in controls.blocks_of(proxy)]
    values = {name: float(channel[0]) for name, channel in retarget(moment, targets, gain).items()}
    yaw, pitch, roll = (float(moment.channels[name][0]) for name in ("yaw", "pitch", "roll"))
    if flip:
        values, yaw, roll = controls.mirrored(values), -yaw, -roll
    controls.set_values(proxy, values)
    camera = controls.camera_of(proxy, scene)
    if head and camera is not None:
        controls.turn(proxy, camera, Angles(yaw, pitch, roll))
    controls.auto_key(proxy, scene)


class EFFIGY_OT_live_capture(CameraOperator):
    bl_idname = "effigy.live_capture"
    bl_label = "Live Capture"
    bl_description = (
        "Let the face follow the Live Link Face app on a phone, until Stop or ESC. With Auto Keying on, what it does "
        "becomes keys: press play to record a performance"
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
    port: IntProperty(name="Port", description="As it is set in the app", default=PORT, min=1024, max=65535)
    gain: FloatProperty(
        name="Gain", description="Strength of the expressions; 1 spreads the capture over each control's range",
        default=1.0, min=0.0, max=4.0,
    )  # fmt: skip
    head: BoolProperty(name="Head", description="Turn the head as well", default=True)
    flip: BoolProperty(name="Mirrored", description="Change left and right, as a mirror does", default=True)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return set(context.window_manager.invoke_props_dialog(self))

    def execute(self, context: bpy.types.Context) -> set[str]:
        if state.capture is not None:
            self.report({"ERROR"}, "A capture runs already: stop it first")
            return {"CANCELLED"}
        try:
            state.capture = Listener("127.0.0.1" if self.reach == "LOCAL" else "", self.port)
        except OSError as error:
            self.report({"ERROR"}, f"Port {self.port} cannot be listened to ({error.strerror}): choose another")
            return {"CANCELLED"}
        self._listener: Any = state.capture
        self._proxy = face_in(context).name
        if bpy.app.background:
            return {"FINISHED"}  # scripts call ``apply`` themselves: nothing ticks there
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TICK_S, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        scene = scene_of(context)
        proxy = scene.objects.get(self._proxy)
        if event.type == "ESC" or state.capture is not self._listener or proxy is None or not face_of(proxy).is_face:
            self.cancel(context)
            return {"FINISHED"}
        if event.type == "TIMER" and not (state.is_baking or state.is_rendering):
            moment = self._listener.newest()
            if moment is not None:
                apply(proxy, scene, moment, gain=self.gain, head=self.head, flip=self.flip)
            text = f"Live Capture on port {self.port}: {self._listener.moments} moments. ESC stops"
            context.workspace.status_text_set(text)
        return {"PASS_THROUGH"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Also when Blender takes the operator away: another file, or the end."""
        if state.capture is self._listener:
            stop()
        self._listener.close()
        context.window_manager.event_timer_remove(self._timer)
        if context.workspace is not None:
            context.workspace.status_text_set(None)


class EFFIGY_OT_stop_capture(bpy.types.Operator):
    bl_idname = "effigy.stop_capture"
    bl_label = "Stop Capture"
    bl_description = "Listen no more; the face stays as it is"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if state.capture is None:
            cls.poll_message_set("No capture runs")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        stop()
        return {"FINISHED"}


def stop() -> None:
    """Frees the port; does nothing when no capture runs."""
    if state.capture is not None:
        state.capture.close()
        state.capture = None


_CLASSES = (EFFIGY_OT_live_capture, EFFIGY_OT_stop_capture)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    stop()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
