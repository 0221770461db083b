# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities in files: saved for another scene or computer, and loaded, as are people that were made of pictures."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import bpy
from bpy.props import StringProperty

from effigy_protocol.files import LargeFileError, read_bytes, read_json, write_whole
from effigy_protocol.limits import REQUEST_LIMITS
from effigy_protocol.messages import FromLatent, OpenIdentity

from ..scene.properties import face_of
from ..scene.queries import face_in
from ..translation import rpt_
from .choosing import OpensFile, WritesFile
from .opening import FromDialog
from .operator import FaceOperator

_FORMAT = 1
_PERSON = ".person"  # of files that the backend makes of pictures


class EFFIGY_OT_save_identity(WritesFile, FaceOperator):
    bl_idname = "effigy.save_identity"
    bl_label = "Save Identity"
    bl_description = "Write this face's identity to a file, to open it in another scene or on another computer"

    filename_ext = ".effigy-identity"
    filter_glob: StringProperty(default="*.effigy-identity", options={"HIDDEN"})
    filepath: StringProperty(subtype="FILE_PATH")

    def execute(self, context: bpy.types.Context) -> set[str]:
        face, path = face_of(face_in(context)), Path(self.filepath)
        content = {"format": _FORMAT, "model": face.model, "model_name": face.model_name, "latent": face.latent}
        try:
            write_whole(path, json.dumps(content) + "\n")
        except OSError as error:
            self.report({"ERROR"}, rpt_("{} cannot be written: {}", path, error.strerror))
            return {"CANCELLED"}
        return {"FINISHED"}


class EFFIGY_OT_load_identity(OpensFile, FromDialog):
    bl_idname = "effigy.load_identity"
    bl_label = "Load Identity"
    bl_description = (
        "Give this face the identity that was saved to a file, or a person that 'effigy photo' made of a picture; "
        "pose, expression and animation stay"
    )

    filename_ext = ".effigy-identity"
    filter_glob: StringProperty(default=f"*.effigy-identity;*{_PERSON}", options={"HIDDEN"})
    filepath: StringProperty(subtype="FILE_PATH")

    def request(self, context: bpy.types.Context) -> OpenIdentity:
        self.target(context)
        path = Path(self.filepath)
        try:
            if path.suffix == _PERSON:
                return OpenIdentity(FromLatent(read_bytes(path, REQUEST_LIMITS.frame_bytes)))
            content = read_json(path)
            if content["format"] != _FORMAT:
                raise ValueError
            latent = base64.b64decode(content["latent"], validate=True)
            return OpenIdentity(FromLatent(latent, str(content["model"])))
        except OSError as error:
            raise ValueError(rpt_("{} cannot be read: {}", path, error.strerror)) from None
        except LargeFileError as error:
            raise ValueError(
                rpt_("{} is larger than a scene keeps of a person: make it without its picture", path.name)
            ) from error
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                rpt_("{} is no saved identity: choose a file that Save Identity wrote", path.name)
            ) from None


_CLASSES = (EFFIGY_OT_save_identity, EFFIGY_OT_load_identity)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
