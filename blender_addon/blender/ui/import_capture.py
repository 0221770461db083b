# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured faces become keyframes: ARKit's blend shapes, and tracks of 68 landmarks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, FloatProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from effigy_client.capture.retarget import fill_gaps, resample, retarget, smooth
from effigy_client.capture.tables import CaptureError, LandmarkTrack, read_live_link, read_openface
from effigy_client.follow import fit_view
from effigy_client.mirror import mirrored
from effigy_client.pose import FACE_TO_LOCAL, Angles, angles_from, head_rotation

from ..scene import controls
from ..scene.fcurves import write_keys
from ..scene.queries import face_in, scene_of
from ..translation import rpt_
from .capture_settings import CaptureSettings
from .pose import CameraOperator

_LAST_FRAME = 1_048_574  # that Blender counts to
_USUAL_END = 250  # of a scene that nobody gave a length


def _new_end(scene: bpy.types.Scene, last: int) -> int:
    """The scene's last frame after a capture that ends at ``last``: the capture's own, where nobody chose another.

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


class CaptureImport(CaptureSettings, ImportHelper, CameraOperator):
    """What both importers ask for, and how their channels become keys."""

    filename_ext = ".csv"
    filter_glob: StringProperty(default="*.csv", options={"HIDDEN"})
    filepath: StringProperty(subtype="FILE_PATH")
    start: IntProperty(name="First Frame", description="Where the first captured moment goes", default=1)
    smoothing: FloatProperty(
        name="Smoothing", description="Frames that are averaged (a Gaussian's deviation); 0 leaves every jitter",
        default=1.0, min=0.0, max=20.0,
    )  # fmt: skip

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy, scene = face_in(context), scene_of(context)
        rate = scene.render.fps / scene.render.fps_base
        try:
            values, angles = self.read(Path(self.filepath), proxy, scene, rate)
            last = self.start + max([len(angles), *(len(channel) for channel in values.values())]) - 1
            if last > _LAST_FRAME:
                raise CaptureError(rpt_("the capture would end at frame {}, Blender's last is {}", last, _LAST_FRAME))
        except (CaptureError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._write(proxy, scene, values, angles)
        was, scene.frame_end = scene.frame_end, _new_end(scene, last)
        keyed = [*values, *(["the head's turn"] if self.head and len(angles) else [])]
        text = rpt_("Frames {} to {}: {}", self.start, last, ", ".join(keyed))
        if was != scene.frame_end:
            text += rpt_("; the scene now ends at {}, not at {}", scene.frame_end, was)
        self.report({"INFO"}, text)
        return {"FINISHED"}

    def read(
        self, path: Path, proxy: bpy.types.Object, scene: bpy.types.Scene, rate: float
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Controls' values [N] by name, and yaw, pitch and roll [N, 3] in degrees, a row per frame of the scene."""
        raise NotImplementedError

    def _write(
        self, proxy: bpy.types.Object, scene: bpy.types.Scene, values: dict[str, np.ndarray], angles: np.ndarray
    ) -> None:
        if self.flip:
            values, angles = mirrored(values, controls.twins_of(proxy)), angles * np.array([-1.0, 1.0, -1.0])
        keys = proxy.data.shape_keys
        assert keys is not None
        for name, channel in values.items():
            block = keys.key_blocks[name]
            smoothed = np.clip(smooth(channel, self.smoothing), block.slider_min, block.slider_max)
            write_keys(keys, f'key_blocks["{bpy.utils.escape_identifier(name)}"].value', 0, self.start, smoothed)
        if self.head and len(angles):
            self._write_head(proxy, scene, np.stack([smooth(column, self.smoothing) for column in angles.T], axis=1))

    def _write_head(self, proxy: bpy.types.Object, scene: bpy.types.Scene, angles: np.ndarray) -> None:
        """As the camera sees the head from where both stand now."""
        camera = controls.camera_of(proxy, scene)
        assert camera is not None
        view = controls.view_of(proxy, camera)
        turns: list[Any] = []
        for yaw, pitch, roll in angles:
            rotation = head_rotation(Angles(yaw, pitch, roll), view)
            turns.append(controls.turn_next(proxy, rotation, turns[-1] if turns else None))
        path = controls.rotation_path(proxy)
        for index in range(len(turns[0])):
            write_keys(proxy, path, index, self.start, np.array([turn[index] for turn in turns]))


class EFFIGY_OT_import_arkit(CaptureImport):
    bl_idname = "effigy.import_arkit"
    bl_label = "Import ARKit Capture"
    bl_description = "Turn a recording of the Live Link Face app (CSV) into keyframes of the controls and the head"

    capture_rate: FloatProperty(
        name="Capture Rate",
        description="Frames per second of the recording's timecode",
        default=60.0,
        min=1.0,
        max=240.0,
    )

    def read(
        self, path: Path, proxy: bpy.types.Object, scene: bpy.types.Scene, rate: float
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        capture = read_live_link(path, self.capture_rate)
        values = {
            name: resample(capture.times, channel, rate)
            for name, channel in retarget(capture, controls.targets_of(proxy), self.gain).items()
        }
        angles = np.stack([capture.channels.get(a, np.zeros(len(capture.times))) for a in ("yaw", "pitch", "roll")], 1)
        return values, resample(capture.times, angles, rate)


class EFFIGY_OT_import_landmarks(CaptureImport):
    bl_idname = "effigy.import_landmarks"
    bl_label = "Import Landmark Track"
    bl_description = "Turn a track of 68 landmarks (OpenFace's CSV) into keyframes of the controls and the head"

    calibrate: BoolProperty(
        name="Calibrate", description="Take the track's most usual expression for the neutral one", default=True
    )

    def read(
        self, path: Path, proxy: bpy.types.Object, scene: bpy.types.Scene, rate: float
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        shape = controls.shape_of(proxy)
        track = read_openface(path)
        if len(shape.rest) != track.points.shape[1]:
            raise CaptureError(rpt_("this face has {} landmarks, the track {}", len(shape.rest), track.points.shape[1]))
        found, angles = _explain(track, proxy)
        if self.calibrate:
            found = found - np.median(found, axis=0)
        found = resample(track.times, self.gain * found, rate)
        names = [block.name for block in controls.blocks_of(proxy)]
        return dict(zip(names, found.T, strict=True)), resample(track.times, angles, rate)


def _explain(track: LandmarkTrack, proxy: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """Controls [N, C] and angles [N, 3] of every moment; gaps are bridged. Raises ValueError without any face."""
    shape = controls.shape_of(proxy)
    rest, front = np.zeros(len(shape.low)), FACE_TO_LOCAL.T
    found = np.full((len(track.points), len(rest)), np.nan)
    angles = np.full((len(track.points), 3), np.nan)
    rotation: Any = front
    for row, picture in enumerate(track.points):
        if np.isfinite(picture).all():
            solution, _, _ = fit_view(shape, rest, rotation, picture)
            rotation = solution.rotation  # the next moment is near this one
            seen = angles_from(rotation @ FACE_TO_LOCAL)
            found[row], angles[row] = solution.controls, (seen.yaw, seen.pitch, seen.roll)
    return fill_gaps(found), fill_gaps(angles)


_CLASSES = (EFFIGY_OT_import_arkit, EFFIGY_OT_import_landmarks)


def _menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.operator(EFFIGY_OT_import_arkit.bl_idname, text="Effigy: ARKit Capture (.csv)")
    self.layout.operator(EFFIGY_OT_import_landmarks.bl_idname, text="Effigy: Landmark Track (.csv)")


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
