# SPDX-License-Identifier: GPL-3.0-or-later
"""What a live capture does to a face: each moment moves controls and head, and becomes keys with Auto Keying on."""

from __future__ import annotations

from typing import Any

import bpy

from effigy_client.capture.live_link import Listener
from effigy_client.capture.process import CaptureProcess
from effigy_client.capture.retarget import retarget
from effigy_client.capture.tables import Capture
from effigy_client.mirror import mirrored
from effigy_client.pose import Angles, head_rotation

from ..pictures.activity import activity
from ..scene import controls
from ..scene.properties import face_of
from ..scene.queries import name_of
from ..translation import rpt_


class LiveCapture:
    """A running live capture: its source, the face that it moves, and its settings."""

    def __init__(
        self,
        proxy: bpy.types.Object,
        listener: Listener,
        process: CaptureProcess | None = None,  # what reads a camera or film, and sends
        *,
        gain: float = 1.0,
        head: bool = True,
        flip: bool = False,
    ) -> None:
        self.listener, self.process = listener, process
        self.timer: Any = None  # in a window
        self.said = ""  # the status line
        self._proxy = name_of(proxy)
        self._gain, self._head, self._flip = gain, head, flip
        self._turn: Any = None  # the last one, in the head's rotation mode

    @property
    def left_out(self) -> tuple[str, ...]:
        """The controls that pictures do not show reliably: they stay as they are."""
        return self.process.left_out if self.process is not None else ()

    @property
    def has_ended(self) -> bool:
        """Whether the camera or film gives no more."""
        return self.process is not None and not self.process.is_running

    def status(self) -> str:
        """Returns the text of the status line."""
        if self.process is not None:
            name = self.process.name or rpt_("what is being started")
            text = rpt_("Live Capture from {}: {} moments. Esc stops", name, self.listener.packets)
            return f"{text} · {self.process.said}" if self.process.said else text
        text = rpt_("Live Capture on port {}: {} packets. Esc stops", self.listener.port, self.listener.packets)
        if self.listener.refusal:
            text += rpt_(". Something else came: {}", self.listener.refusal)
        return text

    def proxy(self, scene: bpy.types.Scene) -> bpy.types.Object | None:
        """Returns the face, if it is still there. It is looked up by name: references do not survive undo."""
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
        values = {name: float(channel[0]) for name, channel in heard.items() if name not in self.left_out}
        angles = None if moment.turn is None else Angles(*moment.turn[0].tolist())
        if self._flip:
            values = mirrored(values, controls.twins_of(proxy))
            angles = None if angles is None else angles.mirrored
        controls.set_values(proxy, values)
        camera = controls.camera_of(proxy, scene)
        turns = False
        if self._head and camera is not None and angles is not None:
            turns = True
            rotation = head_rotation(angles, controls.view_of(proxy, camera))
            self._turn = controls.turn_next(proxy, rotation, self._turn)
        if scene.tool_settings.use_keyframe_insert_auto:
            controls.key_controls(proxy, scene.frame_current, values)
            if turns:
                controls.key_turn(proxy, scene.frame_current)
