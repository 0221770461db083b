# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured faces become keyframes: ARKit's blend shapes, and tracks of 68 landmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, FloatProperty, StringProperty

from effigy_client.capture.retarget import fill_gaps, resample, retarget
from effigy_client.capture.tables import Capture, CaptureError, LandmarkTrack, read_live_link, read_openface
from effigy_client.capture.timeline import without_gaps
from effigy_client.follow import Shape, fit_view
from effigy_client.pose import FACE_TO_LOCAL, angles_from

from ..scene import controls
from ..scene.queries import face_in, scene_of
from ..translation import rpt_
from .capture_keys import KeyingOperator
from .choosing import OpensFile
from .operator import registration_in_menu

_IRISES = 2  # landmarks that a face may have after iBUG's 68; no track has them, so none tells what moves them alone


class CaptureImport(OpensFile, KeyingOperator):
    """An importer of a table."""

    filename_ext = ".csv"
    filter_glob: StringProperty(default="*.csv", options={"HIDDEN"})
    filepath: StringProperty(subtype="FILE_PATH")
    close_gaps: BoolProperty(
        name="Close Gaps", description="Remove gaps of more than a second, in which nothing was captured"
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy, scene = face_in(context), scene_of(context)
        rate = scene.render.fps / scene.render.fps_base
        try:
            values, angles, notes = self.read(Path(self.filepath), proxy, scene, rate)
            said = "; ".join([self.key(proxy, scene, values, angles), *notes])
        except (CaptureError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, said)
        return {"FINISHED"}

    def read(
        self, path: Path, proxy: bpy.types.Object, scene: bpy.types.Scene, rate: float
    ) -> tuple[dict[str, np.ndarray], np.ndarray | None, tuple[str, ...]]:
        """Reads controls' values [N] by name, and yaw, pitch and roll [N, 3] in degrees, for each frame of the scene.

        The angles are None without data of the head. Notes come third.
        """
        raise NotImplementedError


def channels_of(
    capture: Capture, proxy: bpy.types.Object, rate: float, gain: float
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Returns a capture's values of a face's controls, and of its turn if it has any, at ``rate`` frames per second."""
    heard = retarget(capture, controls.targets_of(proxy), gain)
    values = {name: resample(capture.times, channel, rate) for name, channel in heard.items()}
    return values, None if capture.turn is None else resample(capture.times, capture.turn, rate)


class EFFIGY_OT_import_arkit(CaptureImport):
    bl_idname = "effigy.import_arkit"
    bl_label = "Import ARKit Capture"
    bl_description = "Turn a recording of the Live Link Face app (CSV) into keyframes of the controls and the head"

    capture_rate: FloatProperty(
        name="Capture Rate",
        description="Frames per second of the recording's timecode; 0 infers them",
        default=0.0,
        min=0.0,
        max=240.0,
    )

    def read(
        self, path: Path, proxy: bpy.types.Object, scene: bpy.types.Scene, rate: float
    ) -> tuple[dict[str, np.ndarray], np.ndarray | None, tuple[str, ...]]:
        capture = read_live_link(path, self.capture_rate or None)
        if self.close_gaps:
            capture = replace(capture, times=without_gaps(capture.times))
        return *channels_of(capture, proxy, rate, self.gain), capture.notes


class EFFIGY_OT_import_landmarks(CaptureImport):
    bl_idname = "effigy.import_landmarks"
    bl_label = "Import Landmark Track"
    bl_description = "Turn a track of 68 landmarks (OpenFace's CSV) into keyframes of the controls and the head"

    calibrate: BoolProperty(
        name="Calibrate", description="Use the track's most frequent expression as the neutral one", default=True
    )

    def read(
        self, path: Path, proxy: bpy.types.Object, scene: bpy.types.Scene, rate: float
    ) -> tuple[dict[str, np.ndarray], np.ndarray | None, tuple[str, ...]]:
        shape, track = controls.shape_of(proxy), read_openface(path)
        count = track.points.shape[1]
        if len(shape.rest) - count not in (0, _IRISES):
            raise CaptureError(rpt_("this face has {} landmarks, the track {}", len(shape.rest), count))
        is_seen = _is_seen(shape.directions, count)
        part = Shape(shape.rest[:count], shape.directions[is_seen, :count], shape.low[is_seen], shape.high[is_seen])
        found, angles = _explain(track, part)
        if self.calibrate:
            found = found - np.median(found, axis=0)
        times = without_gaps(track.times) if self.close_gaps else track.times
        found = resample(times, self.gain * found, rate)
        names = [block.name for block, seen in zip(controls.blocks_of(proxy), is_seen, strict=True) if seen]
        return dict(zip(names, found.T, strict=True)), resample(times, angles, rate), track.notes


def _is_seen(directions: np.ndarray, count: int) -> np.ndarray:
    """Returns which controls' ``directions`` [C, L, 3] move one of the first ``count`` landmarks the most, [C]."""
    moved = np.linalg.norm(directions, axis=2)
    return moved.argmax(axis=1) < count


def _explain(track: LandmarkTrack, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Finds controls [N, C] and angles [N, 3] of every moment; gaps are bridged. Raises ValueError without any face."""
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


register, unregister = registration_in_menu(_CLASSES, "TOPBAR_MT_file_import", _menu)
