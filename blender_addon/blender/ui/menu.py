# SPDX-License-Identifier: GPL-3.0-or-later
"""Effigy in Blender's menus, so that the keyboard and the menu search find every button."""

from __future__ import annotations

from typing import Any

import bpy


def _add_menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.operator("effigy.add_face", text="Effigy Face", icon="MESH_MONKEY")


class EFFIGY_MT_object(bpy.types.Menu):
    """All buttons of the panel."""

    bl_idname = "EFFIGY_MT_object"
    bl_label = "Effigy"

    def draw(self, context: bpy.types.Context) -> None:
        for group in _MENU:
            for name in group:
                self.layout.operator(f"effigy.{name}")
            self.layout.separator()


_MENU = (
    ("connect", "disconnect"),
    ("add_face", "remove_face", "use_grab", "follow_view"),
    ("neutral", "mirror", "relax", "randomise", "reset_pose", "face_camera", "key_all"),
    ("reset_attributes", "add_attributes"),
    (
        "change_identity",
        "random_identity",
        "use_new_default",
        "mix_identities",
        "identity_from_photo",
        "save_identity",
        "load_identity",
    ),
    (
        "store_expression",
        "pose_from_picture",
        "import_film",
        "import_arkit",
        "import_landmarks",
        "live_capture",
        "stop_capture",
    ),
    ("cache", "bake", "show_live", "paste_into_photo", "preflight", "exact_view"),
)


def _object_menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.menu(EFFIGY_MT_object.bl_idname, icon="MESH_MONKEY")


def register() -> None:
    bpy.utils.register_class(EFFIGY_MT_object)
    bpy.types.VIEW3D_MT_mesh_add.append(_add_menu)
    bpy.types.VIEW3D_MT_object.append(_object_menu)


def unregister() -> None:
    bpy.types.VIEW3D_MT_object.remove(_object_menu)
    bpy.types.VIEW3D_MT_mesh_add.remove(_add_menu)
    bpy.utils.unregister_class(EFFIGY_MT_object)
