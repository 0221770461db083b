# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks for a file to open or to write. Left to itself, Blender's file browser offers the name of the .blend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import bpy
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..scene.queries import face_in


class OpensFile(ImportHelper):
    """Asks for a file to open, first in the folder of the .blend, without a name."""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        chooser: Any = self
        if not chooser.filepath:
            chooser.filepath = _beside_the_blend("")
        return cast(set[str], super().invoke(context, event))  # which Blender's stubs take for None


class WritesFile(ExportHelper):
    """Asks for a file to write, first beside the .blend, under the face's name."""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        chooser: Any = self
        if not chooser.filepath:
            chooser.filepath = _beside_the_blend(bpy.path.clean_name(face_in(context).name) + chooser.filename_ext)
        return cast(set[str], super().invoke(context, event))


def _beside_the_blend(name: str) -> str:
    """Returns the path of a file beside the .blend, or that of its folder; while that is not saved, ``name`` alone."""
    folder = f"{Path(bpy.data.filepath).parent}{os.sep}" if bpy.data.filepath else ""
    return folder + name
