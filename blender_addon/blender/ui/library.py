# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's own library of expressions: a JSON file and a thumbnail each, in Blender's user folder."""

from __future__ import annotations

import contextlib
import json
import math
import re
from itertools import count
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from effigy_client.control_names import translate
from effigy_client.mirror import mirrored
from effigy_client.pixels import Pixels
from effigy_protocol.files import read_json, write_whole

from .. import preferences
from ..scene import controls
from ..scene.properties import face_of
from ..scene.queries import face_in
from ..translation import rpt_
from .operator import FaceOperator
from .pose import PoseOperator

_FORMAT = 1
_FORBIDDEN = re.compile(r'[\\/:*?"<>|.\x00-\x1f]+')  # in files' names, on some system
_THUMBNAIL = 128  # pixels


def folder() -> Path:
    return Path(bpy.utils.extension_path_user(preferences.PACKAGE, path="expressions", create=True))


def names() -> list[str]:
    """Returns the names of all stored expressions."""
    return sorted(path.stem for path in folder().glob("*.json"))


def _path(name: str) -> Path:
    """Returns the file of a stored expression. Raises ValueError when there is none of that name."""
    if name not in names():
        raise ValueError(rpt_("There is no expression {} in your library", name))
    return folder() / f"{name}.json"


def load(name: str) -> dict[str, float]:
    """Reads the controls' values of an expression. Raises ValueError that says what is wrong with file or name."""
    path = _path(name)
    try:
        content = read_json(path)
        if content["format"] != _FORMAT:
            raise ValueError
        values = {str(control): float(value) for control, value in content["controls"].items()}
        if not all(map(math.isfinite, values.values())):
            raise ValueError
        return values
    except OSError as error:
        raise ValueError(rpt_("The expression {} cannot be read: {}", name, error.strerror)) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(rpt_("{} is no stored expression: remove it", path)) from None


def store(name: str, proxy: bpy.types.Object, pixels: Pixels | None = None) -> None:
    """Writes the face's expression under ``name``, with its picture as a thumbnail. Raises OSError.

    ``pixels``: the picture, where the plate does not show it yet.
    """
    path = folder() / f"{name}.json"
    values = {control: round(value, 6) for control, value in controls.values_of(proxy).items()}
    image = face_of(proxy).image
    if image is not None:
        if pixels is None:
            pixels = np.empty(4 * image.size[0] * image.size[1], np.float32)
            image.pixels.foreach_get(pixels)
        _write_thumbnail(pixels, image.size[0], image.size[1], path.with_suffix(".png"))
    write_whole(path, json.dumps({"format": _FORMAT, "controls": values}) + "\n")
    forget_icons()


def free_name(wanted: str) -> str:
    """Returns ``wanted`` as a valid name for an expression, with a number if that is taken."""
    stem = file_name(wanted).strip("_") or "Expression"
    return next(name for n in count(1) if not _is_taken(name := stem if n == 1 else f"{stem} {n}"))


def remove(name: str) -> None:
    """Deletes an expression. Raises ValueError when there is none of that name."""
    path = _path(name)
    for file in (path, path.with_suffix(".png")):
        file.unlink(missing_ok=True)
    forget_icons()


def file_name(name: str) -> str:
    return _FORBIDDEN.sub("_", name.strip())


def _is_taken(name: str) -> bool:
    """Returns whether a file of that name exists. The disk is asked because it may not tell smile from Smile."""
    return (folder() / f"{name}.json").exists()


def _write_thumbnail(pixels: Pixels, width: int, height: int, path: Path) -> None:
    small = pixels.reshape(height, width, 4)[:: max(1, height // _THUMBNAIL), :: max(1, width // _THUMBNAIL)]
    thumbnail = bpy.data.images.new("Effigy Thumbnail", small.shape[1], small.shape[0], alpha=True)
    try:
        thumbnail.pixels.foreach_set(np.ascontiguousarray(small).reshape(-1))  # type: ignore[attr-defined]
        thumbnail.filepath_raw, thumbnail.file_format = str(path), "PNG"
        try:
            thumbnail.save()
        except RuntimeError as error:  # how Blender says that there is no room, or no right
            raise OSError(None, str(error).strip()) from None
    finally:
        bpy.data.images.remove(thumbnail)


# Thumbnails as icons. Blender keeps no strings of an enumeration's items, so this module does.
_icons: Any = None
_items: list[tuple[str, str, str, int, int]] = []


def items(self: Any, context: bpy.types.Context | None) -> list[tuple[str, str, str, int, int]]:
    """Returns the stored expressions for Blender's icon view, in the order of their names."""
    global _icons, _items
    found = names()
    if _icons is None:
        _icons = bpy.utils.previews.new()
        _items = []
    if [item[0] for item in _items] != found:
        # From zero, so that something is always chosen. Buttons keep numbers as floats: no hash would survive.
        _items = [(name, name, "", _icon(name), number) for number, name in enumerate(found)]
    return _items


def _icon(name: str) -> int:
    picture = folder() / f"{name}.png"
    if not picture.is_file():
        return 0
    with contextlib.suppress(KeyError):
        _icons.load(name, str(picture), "IMAGE")
    return int(_icons[name].icon_id)


def forget_icons() -> None:
    """Makes thumbnails be read again, because files changed."""
    global _icons, _items
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
    _icons, _items = None, []


class EFFIGY_OT_store_expression(FaceOperator):
    bl_idname = "effigy.store_expression"
    bl_label = "Store Expression"
    bl_description = "Keep this expression in your library, with the picture as it is shown now"
    bl_options = {"REGISTER"}

    name: StringProperty(name="Name", description="Its name in the library", default="Expression")
    replace: BoolProperty(name="Replace", description="Replace the expression that has this name")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.properties.is_property_set("name"):
            self.name = next(name for n in count(1) if not _is_taken(name := f"Expression {n}"))
        self.replace = False
        return set(context.window_manager.invoke_props_dialog(self))

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.prop(self, "name")
        if _is_taken(file_name(self.name)):
            self.layout.prop(self, "replace", text="Replace the Expression of This Name")

    def execute(self, context: bpy.types.Context) -> set[str]:
        name = file_name(self.name)
        if _is_taken(name) and not self.replace:
            text = rpt_("There is an expression {} already: choose another name, or Replace", name)
            self.report({"ERROR"}, text)
            return {"CANCELLED"}
        if not name.strip("_"):
            self.report({"ERROR"}, "Give the expression a name")
            return {"CANCELLED"}
        try:
            store(name, face_in(context))
        except OSError as error:
            self.report({"ERROR"}, rpt_("The expression cannot be written: {}", error.strerror))
            return {"CANCELLED"}
        context.window_manager.effigy_expression = next(n for n in names() if n.casefold() == name.casefold())
        if name != self.name:
            self.report({"INFO"}, rpt_("Stored as {}", name))
        return {"FINISHED"}


class StoredOperator(PoseOperator):
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not names():
            cls.poll_message_set("Store an expression first")
            return False
        return bool(super().poll(context))


class EFFIGY_OT_apply_expression(StoredOperator):
    bl_idname = "effigy.apply_expression"
    bl_label = "Apply Expression"
    bl_description = "Give the active face an expression of your library"

    name: StringProperty(name="Expression", description="Its name in the library")
    share: FloatProperty(
        name="Share", description="0 leaves the face as it is, 1 takes the whole expression",
        default=1.0, min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip
    mirror: BoolProperty(name="Mirrored", description="Swap its left and right")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self._wanted = load(self.name)
        except ValueError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return super().execute(context)

    def change(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        now, twins = controls.values_of(proxy), controls.twins_of(proxy)
        wanted = translate(self._wanted, twins)  # it may have been stored from a face of another model
        if self.mirror:
            wanted = mirrored(wanted, twins)
        # What the library's face did not have goes to rest.
        aims = {name: wanted.get(name, 0.0) for name in now}
        controls.set_values(proxy, {name: now[name] + self.share * (aims[name] - now[name]) for name in now})


class EFFIGY_OT_remove_expression(StoredOperator):
    bl_idname = "effigy.remove_expression"
    bl_label = "Remove Expression"
    bl_description = "Delete an expression from your library"
    bl_options = {"REGISTER"}

    name: StringProperty(name="Expression", description="Its name in the library", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return set(context.window_manager.invoke_confirm(self, event, title=rpt_("Remove {}?", self.name)))

    def execute(self, context: bpy.types.Context) -> set[str]:
        stored, manager = names(), context.window_manager
        chosen = manager.effigy_expression
        try:
            remove(self.name)
        except ValueError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        left = names()
        if left:  # where the chosen one is gone, the one that moves up takes its place
            index = min(stored.index(self.name), len(left) - 1)
            manager.effigy_expression = chosen if chosen in left else left[index]
        return {"FINISHED"}


_CLASSES = (EFFIGY_OT_store_expression, EFFIGY_OT_apply_expression, EFFIGY_OT_remove_expression)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.WindowManager.effigy_expression = EnumProperty(  # type: ignore[attr-defined]
        name="Expression",
        description="Your library of expressions",
        items=items,  # type: ignore[arg-type]
    )


def unregister() -> None:
    del bpy.types.WindowManager.effigy_expression  # type: ignore[attr-defined]
    forget_icons()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
