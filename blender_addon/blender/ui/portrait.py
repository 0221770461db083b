# SPDX-License-Identifier: GPL-3.0-or-later
"""A person in the making: the photograph's face, beside it what is painted of it so far, and how far it is."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from ..pictures import redraw
from ..translation import iface_
from .panels import FacePanel

_STAGES = {"seen": "Seen at a glance", "fitted": "Fitted", "tuned": "Tuned"}  # what of the work is done


class Shown:
    """One picture that a panel or a menu shows, out of a PNG file's bytes."""

    def __init__(self) -> None:
        self._icons: Any = None
        self._number = 0

    def show(self, data: bytes) -> None:
        self.forget()
        self._icons = bpy.utils.previews.new()
        self._number += 1
        path = Path(bpy.app.tempdir) / f"effigy-shown-{self._number}.png"
        try:
            path.write_bytes(data)
            icon = self._icons.load(str(self._number), str(path), "IMAGE")
            icon.image_size[:]  # read now, while its file is there
        except OSError:  # the disk is full: then there is nothing to see
            self.forget()
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def forget(self) -> None:
        if self._icons is not None:
            bpy.utils.previews.remove(self._icons)
        self._icons = None

    def draw(self, layout: Any, scale: float) -> None:
        if self._icons is not None:
            layout.template_icon(self._icons[str(self._number)].icon_id, scale=scale)


class Portrait:
    """What is known of the person who is made, or was made last."""

    def __init__(self) -> None:
        self.shown = Shown()
        self.name = ""  # the picture's; empty: nobody is shown
        self.stage = ""
        self.share = 0.0
        self.is_under_way = False
        self.is_unwanted = False  # the artist has said to stop

    def begin(self, name: str) -> None:
        self.close()
        self.name, self.is_under_way = name, True
        redraw.side_panels()

    def tell(self, stage: str, share: float, preview: bytes | None) -> None:
        if (stage, share) == (self.stage, self.share):
            return
        self.stage, self.share = stage, share
        if preview is not None:
            self.shown.show(preview)
        redraw.side_panels()

    def end(self, *, made: bool) -> None:
        """Notes the end; the person who was made stays visible beside the photograph."""
        self.is_under_way = self.is_unwanted = False
        if not made:
            self.close()
        redraw.side_panels()

    def close(self) -> None:
        self.shown.forget()
        self.name, self.stage, self.share, self.is_under_way, self.is_unwanted = "", "", 0.0, False, False


portrait = Portrait()


class EFFIGY_PT_portrait(FacePanel):
    bl_label = "From Photo"
    bl_parent_id = "EFFIGY_PT_identity"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and bool(portrait.name)

    def draw(self, context: bpy.types.Context) -> None:
        layout: Any = self.layout
        layout.label(text=portrait.name, icon="IMAGE_DATA", translate=False)
        portrait.shown.draw(layout, 9.0)
        row = layout.row(align=True)
        if portrait.is_under_way:
            told = iface_(_STAGES.get(portrait.stage, "Cut out"))
            row.progress(text=f"{told}, {round(100 * portrait.share)} %", factor=portrait.share)
            row.operator("effigy.stop_portrait", text="", icon="X")
        else:
            row.label(text="Photograph and person")
            row.operator("effigy.stop_portrait", text="", icon="CHECKMARK")


class EFFIGY_OT_stop_portrait(bpy.types.Operator):
    bl_idname = "effigy.stop_portrait"
    bl_label = "Stop or Close From Photo"
    bl_description = "Stop making a person of the picture; or, when that is done, put the comparison away"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        if portrait.is_under_way:
            portrait.is_unwanted = True  # whoever makes it looks
        else:
            portrait.close()
        redraw.side_panels()
        return {"FINISHED"}


_CLASSES = (EFFIGY_PT_portrait, EFFIGY_OT_stop_portrait)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    portrait.close()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
