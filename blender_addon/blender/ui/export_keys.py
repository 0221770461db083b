# SPDX-License-Identifier: GPL-3.0-or-later
"""Export Keys: who a face is and what the scene asks of it in every frame, for ``effigy film`` and others."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
from bpy.props import StringProperty
from bpy_extras.io_utils import ExportHelper

from effigy_protocol.files import write_whole

from ..scene.properties import face_of
from ..scene.queries import face_in, scene_of
from ..scene.reader import UnreadableError, read_face
from ..translation import rpt_
from .operator import FaceOperator

_FORMAT = 1


def keys_of(proxy: bpy.types.Object, scene: bpy.types.Scene) -> str:
    """The scene's frame range as JSON, a line for each frame, like a bake's frames.json. Raises UnreadableError."""
    face = face_of(proxy)
    before = scene.frame_current, scene.frame_subframe
    lines = []
    try:
        for frame in range(scene.frame_start, scene.frame_end + 1):
            scene.frame_set(frame)
            asking = read_face(proxy, scene, bpy.context.evaluated_depsgraph_get()).asking
            lines.append(f'"{frame}": {json.dumps(asking.named())}')
    finally:
        scene.frame_set(before[0], subframe=before[1])
    encoding = "png16" if face.bake_depth == "16" else "png"
    head = {"format": _FORMAT, "model": face.model, "encoding": encoding, "person": face.latent}
    rows = ",\n".join(lines)
    return f'{json.dumps(head)[:-1]}, "frames": {{\n{rows}\n}}}}\n'


class EFFIGY_OT_export_keys(FaceOperator, ExportHelper):
    bl_idname = "effigy.export_keys"
    bl_label = "Export Keys"
    bl_description = (
        "Write who the face is, and its turn and controls in every frame of the scene's range, to a JSON file: "
        "'effigy film' paints from it, without Blender, the very files that Bake writes"
    )
    bl_options = {"REGISTER"}

    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})
    filepath: StringProperty(subtype="FILE_PATH")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            text = keys_of(face_in(context), scene_of(context))
            write_whole(Path(self.filepath), text)
        except (UnreadableError, OSError) as error:
            self.report({"ERROR"}, rpt_("The keys cannot be exported: {}", error))
            return {"CANCELLED"}
        self.report({"INFO"}, rpt_("Wrote {}", self.filepath))
        return {"FINISHED"}


def _draw(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(EFFIGY_OT_export_keys.bl_idname, text="Effigy Keys (.json)")


def register() -> None:
    bpy.utils.register_class(EFFIGY_OT_export_keys)
    bpy.types.TOPBAR_MT_file_export.append(_draw)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_export.remove(_draw)
    bpy.utils.unregister_class(EFFIGY_OT_export_keys)
