# SPDX-License-Identifier: GPL-3.0-or-later
"""How captured channels become keyframes of a face, whatever they were read from."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, FloatProperty, IntProperty

from effigy_client.capture.retarget import LAST_FRAME, smooth
from effigy_client.capture.tables import CaptureError
from effigy_client.mirror import mirrored
from effigy_client.pose import Angles, head_rotation

from ..scene import controls
from ..scene.fcurves import slider_path, write_keys
from ..translation import rpt_
from .capture_settings import CaptureSettings
from .pose import CameraOperator

_USUAL_END = 250  # of a scene that nobody gave a length


def _new_end(scene: bpy.types.Scene, last: int) -> int:
    """Returns the scene's last frame after a capture that ends at ``last``: the capture's own, unless the user chose
    another.

    A scene as Blender begins it, in which nothing goes on for longer, would play and render a face that stands still.
    """
    if scene.frame_end != _USUAL_END or last > _USUAL_END:
        return max(scene.frame_end, last)
    editor: Any = scene.sequence_editor
    strips = () if editor is None else editor.strips_all if bpy.app.version >= (4, 4, 0) else editor.sequences_all
    tracks = [track for obj in scene.objects if obj.animation_data for track in obj.animation_data.nla_tracks]
    ends = [action.frame_range[1] for action in bpy.data.actions]
    ends += [strip.frame_end for track in tracks for strip in track.strips]
    ends += [strip.frame_final_end - 1 for strip in strips]
    return min(_USUAL_END, max([last, *(math.ceil(end) for end in ends)]))


class KeyingOperator(CaptureSettings, CameraOperator):
    """The settings of all importers, and how their channels become keys."""

    start: IntProperty(name="First Frame", description="Where the first captured moment goes", default=1)
    set_end: BoolProperty(
        name="Set the Scene's End",
        description="End the scene with the capture, or later if other animation is longer",
        default=True,
    )
    smoothing: FloatProperty(
        name="Smoothing", description="Standard deviation of the smoothing, in frames; 0 does not smooth",
        default=1.0, min=0.0, max=20.0,
    )  # fmt: skip

    def key(
        self, proxy: bpy.types.Object, scene: bpy.types.Scene, values: dict[str, np.ndarray], angles: np.ndarray | None
    ) -> str:
        """Keys controls' values [N] by name, and yaw, pitch and roll [M, 3] in degrees, a row per frame of the scene.

        Controls without values, and a head without angles, stay as they are. Returns what was done, for the report.
        Raises CaptureError where there is nothing to key, or Blender has no such frames.
        """
        head = angles if self.head else None
        rows = [len(channel) for channel in values.values()] + ([] if head is None else [len(head)])
        if not rows:
            raise CaptureError(rpt_("the capture has no data for this face's controls: all its channels are zero"))
        last = self.start + max(rows) - 1
        if last > LAST_FRAME:
            raise CaptureError(rpt_("the capture would end at frame {}, Blender's last is {}", last, LAST_FRAME))
        self._write(proxy, scene, values, head)
        was = scene.frame_end
        if self.set_end:
            scene.frame_end = _new_end(scene, last)
        turn = ["the head's turn"]
        keyed = [*values, *([] if head is None else turn)]
        text = rpt_("Frames {} to {}: {}", self.start, last, ", ".join(keyed))
        left = [block.name for block in controls.blocks_of(proxy) if block.name not in values]
        left += turn if self.head and head is None else []
        if left:
            text += rpt_("; it has no data for {}: left as before", ", ".join(left))
        if was != scene.frame_end:
            text += rpt_("; the scene now ends at {}, not at {}", scene.frame_end, was)
        return text

    def _write(
        self, proxy: bpy.types.Object, scene: bpy.types.Scene, values: dict[str, np.ndarray], angles: np.ndarray | None
    ) -> None:
        if self.flip:
            values = mirrored(values, controls.twins_of(proxy))
            angles = None if angles is None else angles * np.array([-1.0, 1.0, -1.0])
        keys: Any = proxy.data.shape_keys
        for name, channel in values.items():
            block = keys.key_blocks[name]
            smoothed = np.clip(smooth(channel, self.smoothing), block.slider_min, block.slider_max)
            write_keys(keys, slider_path(name), 0, self.start, smoothed)
        if angles is not None:
            self._write_head(proxy, scene, np.stack([smooth(column, self.smoothing) for column in angles.T], axis=1))

    def _write_head(self, proxy: bpy.types.Object, scene: bpy.types.Scene, angles: np.ndarray) -> None:
        """Keys the head's turns, as the camera sees it from where both stand now."""
        view = controls.view_of(proxy, controls.eye_on(proxy, scene))
        turns: list[Any] = []
        for yaw, pitch, roll in angles:
            rotation = head_rotation(Angles(yaw, pitch, roll), view)
            turns.append(controls.turn_next(proxy, rotation, turns[-1] if turns else None))
        path = controls.rotation_path(proxy)
        for index in range(len(turns[0])):
            write_keys(proxy, path, index, self.start, np.array([turn[index] for turn in turns]))
