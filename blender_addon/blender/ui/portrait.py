# SPDX-License-Identifier: GPL-3.0-or-later
"""A person in the making: the photograph's face, beside it what is painted of it so far, and how far it is."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np

from ..pictures import redraw
from ..scene.queries import face_in
from ..translation import iface_, n_
from .panels import FacePanel

# What of the work is done.
_STAGES = {"seen": n_("Seen at a glance"), "fitted": n_("Fitted"), "tuned": n_("Tuned"), "measured": n_("Measured")}


class Shown:
    """One picture that a panel or a menu shows, out of a PNG file's bytes; or several, which lie in it side by side."""

    def __init__(self, parts: int = 1) -> None:
        self._parts = parts
        self._icons: Any = None
        self._number = 0

    def show(self, data: bytes) -> None:
        self.forget()
        self._icons = bpy.utils.previews.new()
        self._number += 1
        path = Path(bpy.app.tempdir) / f"effigy-shown-{self._number}.png"
        try:
            path.write_bytes(data)
            whole = self._icons.load(self._name(0), str(path), "IMAGE")
            width, height = whole.image_size[:]  # read now, while its file is there
            if self._parts > 1:
                pixels = np.array(whole.image_pixels_float[:], np.float32).reshape(height, width, 4)
                for place, part in enumerate(np.array_split(pixels, self._parts, axis=1), 1):
                    self._cut(place, part)
        except OSError:  # the disk is full: then there is nothing to see
            self.forget()
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _cut(self, place: int, pixels: np.ndarray) -> None:
        """Keeps the part at ``place``, from 1, whose pixels are [H, W, 4]."""
        icon = self._icons.new(self._name(place))
        icon.image_size = pixels.shape[1::-1]
        icon.image_pixels_float = pixels.ravel()

    def _name(self, place: int) -> str:
        return f"{self._number}-{place}"

    def forget(self) -> None:
        if self._icons is not None:
            bpy.utils.previews.remove(self._icons)
        self._icons = None

    def draw(self, layout: Any, scale: float) -> None:
        """Draws the whole picture into a square of ``scale`` rows, as Blender draws every icon."""
        self._draw(layout, 0, scale)

    def draw_parts(self, layout: Any, names: tuple[str, ...], scale: float) -> None:
        """Draws the parts in one row, each above its name: in a square of its own a part leaves no rows empty."""
        if self._icons is None:
            return
        row = layout.row()
        for place, name in enumerate(names, 1):
            column = row.column(align=True)
            self._draw(column, place, scale)
            label = column.row()
            label.alignment = "CENTER"
            label.label(text=name)

    def _draw(self, layout: Any, place: int, scale: float) -> None:
        if self._icons is not None:
            layout.template_icon(self._icons[self._name(place)].icon_id, scale=scale)


class Portrait:
    """What is known of the person who is made, or was made last."""

    def __init__(self) -> None:
        self.shown = Shown(parts=2)
        self.name = ""  # the picture's; empty: nobody is shown
        self.face = ""  # that of the face which becomes this person
        self.stage = ""
        self.share = 0.0
        self.is_under_way = False
        self.is_unwanted = False  # the artist has said to stop

    def begin(self, name: str, face: str) -> None:
        self.close()
        self.name, self.face, self.is_under_way = name, face, True
        redraw.side_panels()

    def update(self, stage: str, share: float, preview: bytes | None) -> None:
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
        self.name, self.face, self.stage, self.share = "", "", "", 0.0
        self.is_under_way = self.is_unwanted = False


portrait = Portrait()


class EFFIGY_PT_portrait(FacePanel):
    bl_label = "From Photo"
    bl_parent_id = "EFFIGY_PT_identity"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and bool(portrait.name)

    def draw(self, context: bpy.types.Context) -> None:
        layout: Any = self.layout
        row = layout.row(align=True)
        if portrait.is_under_way:
            status = iface_(_STAGES.get(portrait.stage, n_("Cut out")))
            row.progress(text=f"{status}, {round(100 * portrait.share)} %", factor=portrait.share)
            row.operator("effigy.stop_portrait", text="", icon="X")
        else:
            row.label(text=portrait.name, icon="IMAGE_DATA", translate=False)
            row.operator("effigy.stop_portrait", text="", icon="CHECKMARK")
        is_another = portrait.face != face_in(context).name  # the panel is that of the face which is active now
        if is_another:
            layout.label(text=iface_("For {}", portrait.face), translate=False)
        portrait.shown.draw_parts(layout, ("Photograph", "Person"), 5.5)
        if not (portrait.is_under_way or is_another):  # turned like that, a person is most like the photograph
            layout.operator("effigy.reset_pose", text="Turn as in the Photograph", icon="ORIENTATION_LOCAL")


class EFFIGY_OT_stop_portrait(bpy.types.Operator):
    bl_idname = "effigy.stop_portrait"
    bl_label = "Stop or Close From Photo"
    bl_description = "Stop making a person of the picture; or, when that is done, close the comparison"
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
