# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for who a face is."""

from __future__ import annotations

import bpy

from ..pictures.runs import earlier_model
from ..scene import photograph
from ..scene.properties import EffigyFace, face_of
from ..scene.queries import face_in
from ..translation import iface_
from .panels import FacePanel


class EFFIGY_PT_identity(FacePanel):
    bl_label = "Identity"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, face_in(context)
        face = face_of(proxy)
        row = layout.row(align=True)
        row.label(text=_who(face), translate=False)
        row.prop(face, "locked", text="", icon="LOCKED" if face.locked else "UNLOCKED")
        layout.label(text=earlier_model(proxy) or face.model_name, translate=False)
        column = layout.column(align=True)
        column.prop(face, "wanted_seed")
        column.prop(face, "truncation", slider=True)
        row = column.row(align=True)
        row.operator("effigy.change_identity", text="Change", icon="FILE_REFRESH")
        row.operator("effigy.random_identity", text="Random", icon="QUESTION")
        column = layout.column(align=True)
        column.operator("effigy.mix_identities", text="Mix with Another Face", icon="ARROW_LEFTRIGHT")
        column.operator("effigy.identity_from_photo", text="From Photo", icon="IMAGE_DATA")
        row = layout.row(align=True)
        row.operator("effigy.save_identity", text="Save", icon="EXPORT")
        row.operator("effigy.load_identity", text="Load", icon="IMPORT")
        if earlier_model(proxy):  # last: it goes away when it is pressed
            layout.operator("effigy.use_new_default", icon="FORWARD")


def _who(face: EffigyFace) -> str:
    """Returns in words where the person comes from."""
    if face.seed >= 0:
        return iface_("The person of seed {}", face.seed)
    if photograph.square_of(face.latent) is None:
        return iface_("A mixture, or from a file")
    name = bpy.path.basename(face.source_photo)
    return iface_("From the photograph {}", name) if name else iface_("From a photograph")
