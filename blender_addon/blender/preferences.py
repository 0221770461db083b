# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: where the backend is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

PACKAGE = __package__.rpartition(".")[0]  # the add-on's own package, whatever Blender calls it

# Called when the size of the picture memory was changed; what holds pictures adds itself here.
on_memory: list[Callable[[], None]] = []

# Called to draw rows below the buttons that install the backend and remove it.
on_draw: list[Callable[[Any], object]] = []


def _on_memory(chosen: EffigyPreferences, context: bpy.types.Context) -> None:
    for fit in on_memory:
        fit()


class EffigyPreferences(bpy.types.AddonPreferences):
    bl_idname = PACKAGE

    source: EnumProperty(
        name="Backend",
        description="Where the pictures are made",
        items=(
            ("LOCAL", "Start it here", "Start the backend on this computer and stop it with Blender"),
            ("FILE", "Connection file", "Use a running backend: 'effigy serve' writes a connection file"),
        ),
        default="LOCAL",
    )
    command: StringProperty(
        name="Command",
        description="The backend's command, for instance /home/me/effigy-env/bin/effigy",
        default="effigy",
    )
    model: StringProperty(
        name="Model",
        description="The face model to start it with: a folder that 'effigy fit' wrote, or first-default, the "
        "earlier default. Empty: the default. Faces of either default are painted in any case",
        subtype="DIR_PATH",
    )
    connection_file: StringProperty(
        name="Connection File",
        description="The file that a running backend wrote; see its --connection-file option",
        subtype="FILE_PATH",
    )
    autostart: BoolProperty(
        name="Connect when rendering in the background",
        description="Let a background render (blender -b) connect, or start the backend, by itself",
        default=True,
    )
    timeout: FloatProperty(
        name="Patience",
        description="How long a render waits for one picture before it fails",
        default=60.0,
        min=1.0,
        max=3600.0,
        unit="TIME_ABSOLUTE",
        subtype="TIME_ABSOLUTE",
    )

    memory: IntProperty(
        name="Picture Memory",
        description="How many megabytes of exact pictures are remembered, for scrubbing and playback: "
        "300 frames take 75 at 256 × 256 and 1200 at 1024 × 1024",
        default=512,
        min=1,
        soft_max=8192,
        max=1 << 20,
        update=_on_memory,
    )

    head_height: FloatProperty(
        name="Head Height",
        description="Height of the head of a scene's first face, from chin to crown. Further faces are as large as "
        "the existing ones",
        default=0.24,
        min=0.001,
        soft_max=10.0,
        unit="LENGTH",
        subtype="DISTANCE",
    )

    matte: EnumProperty(
        name="Matte",
        description="What new faces show of their pictures",
        items=(
            ("HEAD", "Head", "The head alone, cut out"),
            ("NONE", "Whole Picture", "The square, with its generated background"),
        ),
        default="HEAD",
    )
    sharpen: BoolProperty(
        name="Sharpen",
        description="Enlarge the pictures of new faces smoothly, and sharpen them within their own detail. Exact "
        "Pixels switches that off",
        default=True,
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "source", expand=True)
        if self.source == "LOCAL":
            layout.prop(self, "command")
            row = layout.row(align=True)
            row.operator("effigy.install_backend", icon="IMPORT")
            row.operator("effigy.remove_backend", icon="TRASH")
            for draw in on_draw:
                draw(layout)
            row = layout.row(align=True)
            row.prop(self, "model")
            row.operator_menu_enum("effigy.choose_model", "model", text="", icon="DOWNARROW_HLT")
        else:
            layout.prop(self, "connection_file")
        layout.prop(self, "autostart")
        layout.prop(self, "timeout")
        layout.prop(self, "memory")
        layout.prop(self, "head_height")
        layout.prop(self, "matte", expand=True)
        layout.prop(self, "sharpen")


class EFFIGY_OT_choose_model(bpy.types.Operator):
    bl_idname = "effigy.choose_model"
    bl_label = "Choose a Model"
    bl_description = "Start the backend with a face model that comes with Effigy"
    bl_options = {"INTERNAL"}

    model: EnumProperty(
        name="Model",
        items=(
            ("default", "Effigy's Default", "The face model for new faces"),
            (
                "first-default",
                "Effigy's First Default",
                "The earlier default: to add more faces like those made with it",
            ),
        ),
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        get().model = "" if self.model == "default" else self.model
        return {"FINISHED"}


class PreferencesError(Exception):
    """The add-on runs without preferences; the message says what to do."""


def get() -> EffigyPreferences:
    """Returns the add-on's preferences. Raises PreferencesError if it was enabled without any, as ``--addons`` does."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    if addon is None or not isinstance(addon.preferences, EffigyPreferences):
        raise PreferencesError(
            "the Effigy add-on runs without its preferences: enable it in Blender's preferences, and save them"
        )
    return addon.preferences


def register() -> None:
    bpy.utils.register_class(EFFIGY_OT_choose_model)
    bpy.utils.register_class(EffigyPreferences)


def unregister() -> None:
    bpy.utils.unregister_class(EffigyPreferences)
    bpy.utils.unregister_class(EFFIGY_OT_choose_model)
