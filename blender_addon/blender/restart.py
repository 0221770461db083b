# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks for a restart after an update, because a running Blender goes on with the client that it has loaded.

Blender replaces an extension's wheels on disk, but modules that were imported stay as they were.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import bpy

import effigy_client

from . import preferences

_MANIFEST = Path(__file__).parents[1] / "blender_manifest.toml"


def is_needed() -> bool:
    """Returns whether the loaded client is not the one that came with this add-on."""
    return bool(wanted := client_of(_MANIFEST)) and wanted != effigy_client.__version__


def client_of(manifest: Path) -> str:
    """Returns the version of the client's wheel that an extension's manifest lists, or ""."""
    wheels = tomllib.loads(manifest.read_text(encoding="utf-8")).get("wheels", ())
    names = [Path(wheel).name.split("-") for wheel in wheels]
    return next((version for name, version, *_ in names if name == "effigy_client"), "")


class EFFIGY_PT_restart(bpy.types.Panel):
    bl_label = "Effigy"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Effigy"

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.label(text="Effigy was updated: restart Blender", icon="ERROR")


def register() -> None:
    preferences.register()
    bpy.utils.register_class(EFFIGY_PT_restart)
    print("Effigy was updated: restart Blender to use it")


def is_registered() -> bool:
    return EFFIGY_PT_restart.is_registered


def unregister() -> None:
    bpy.utils.unregister_class(EFFIGY_PT_restart)
    preferences.unregister()
