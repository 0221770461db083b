# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports a keyed face: its identity and every frame's pose and expression, for ``effigy film``; or ARKit's shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np
from bpy.props import StringProperty

from effigy_client.capture.recording import Recording, record
from effigy_client.pose import Angles
from effigy_protocol.files import write_whole

from ..scene import controls
from ..scene.frames import visit
from ..scene.properties import face_of
from ..scene.queries import face_in, scene_of
from ..scene.reader import FaceState, UnreadableError, read_face
from ..translation import rpt_
from .choosing import WritesFile
from .operator import FaceOperator, registration_in_menu

_FORMAT = 1


def read_range(proxy: bpy.types.Object, scene: bpy.types.Scene, frames: range | None = None) -> dict[int, FaceState]:
    """Returns what each of ``frames``, by default all of the scene's, asks of a face, by number.

    Raises UnreadableError.
    """
    if frames is None:
        frames = range(scene.frame_start, scene.frame_end + 1)
    return {frame: read_face(proxy, scene, bpy.context.evaluated_depsgraph_get()) for frame in visit(scene, frames)}


def keys_of(proxy: bpy.types.Object, states: Mapping[int, FaceState]) -> str:
    """Returns what each frame asks of a face as JSON, a line for each, like a bake's frames.json."""
    face = face_of(proxy)
    lines = [f'"{frame}": {json.dumps(state.parameters.named())}' for frame, state in states.items()]
    encoding = "png16" if face.bake_depth == "16" else "png"
    head = {"format": _FORMAT, "model": face.model, "encoding": encoding, "person": face.latent}
    rows = ",\n".join(lines)
    return f'{json.dumps(head)[:-1]}, "frames": {{\n{rows}\n}}}}\n'


def recording_of(proxy: bpy.types.Object, scene: bpy.types.Scene) -> Recording:
    """Records the scene's frame range as the Live Link Face app would. Raises UnreadableError."""
    states = list(read_range(proxy, scene).values())
    expressions = [dict(state.parameters.controls) for state in states]
    values = {
        block.name: np.array([expression.get(block.name, 0.0) for expression in expressions])
        for block in controls.blocks_of(proxy)
    }
    angles = [Angles(state.parameters.yaw, state.parameters.pitch, state.roll) for state in states]
    return record(values, controls.targets_of(proxy), angles, scene.render.fps / scene.render.fps_base)


class EFFIGY_OT_export_keys(FaceOperator, WritesFile):
    bl_idname = "effigy.export_keys"
    bl_label = "Export Keys"
    bl_description = (
        "Write the face's identity, and its turn and controls in every frame of the scene's range, to a JSON file: "
        "'effigy film' paints from it, without Blender, the same files that Bake writes"
    )
    bl_options = {"REGISTER"}

    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})
    filepath: StringProperty(subtype="FILE_PATH")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            proxy = face_in(context)
            text = keys_of(proxy, read_range(proxy, scene_of(context)))
            write_whole(Path(self.filepath), text)
        except (UnreadableError, OSError) as error:
            self.report({"ERROR"}, rpt_("The keys cannot be exported: {}", error))
            return {"CANCELLED"}
        self.report({"INFO"}, rpt_("Wrote {}", self.filepath))
        return {"FINISHED"}


class EFFIGY_OT_export_arkit(FaceOperator, WritesFile):
    bl_idname = "effigy.export_arkit"
    bl_label = "Export ARKit CSV"
    bl_description = (
        "Write the face's expression and turn in every frame of the scene's range in the format of the Live Link Face "
        "app: 52 ARKit shapes, and the head as the camera sees it. Programs that read the app's recordings can read "
        "it"
    )
    bl_options = {"REGISTER"}

    filename_ext = ".csv"
    filter_glob: StringProperty(default="*.csv", options={"HIDDEN"})
    filepath: StringProperty(subtype="FILE_PATH")

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy, scene = face_in(context), scene_of(context)
        try:
            recording = recording_of(proxy, scene)
            write_whole(Path(self.filepath), recording.text)
        except (UnreadableError, OSError) as error:
            self.report({"ERROR"}, rpt_("The face cannot be exported: {}", error))
            return {"CANCELLED"}
        text = rpt_("Wrote frames {} to {} to {}", scene.frame_start, scene.frame_end, self.filepath)
        if recording.beyond:
            names = ", ".join(recording.beyond)
            text += rpt_("; ARKit's shapes cannot express all of {}: columns of Effigy's own do, for its import", names)
        self.report({"INFO"}, text)
        return {"FINISHED"}


_CLASSES = (EFFIGY_OT_export_keys, EFFIGY_OT_export_arkit)


def _draw(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(EFFIGY_OT_export_keys.bl_idname, text="Effigy Keys (.json)")
    menu.layout.operator(EFFIGY_OT_export_arkit.bl_idname, text="Effigy: ARKit Capture (.csv)")
    menu.layout.operator("effigy.bake_layers", text="Effigy: OpenEXR Layers (beside the .blend)")


register, unregister = registration_in_menu(_CLASSES, "TOPBAR_MT_file_export", _draw)
