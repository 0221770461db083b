# SPDX-License-Identifier: GPL-3.0-or-later
"""A face's own expression, by which its sliders differ from those that count from the average face."""

from __future__ import annotations

from typing import Literal

import bpy
from bpy.props import FloatProperty

# A linked face is animated as a library override, which keeps what was changed of these.
OVERRIDABLE: set[Literal["LIBRARY_OVERRIDABLE"]] = {"LIBRARY_OVERRIDABLE"}


def _absolute(own: EffigyOwn) -> float:
    block = own.block()
    return own.value if block is None else own.value + block.value


def _set_absolute(own: EffigyOwn, value: float) -> None:
    """Sets the shape key, within its range, and keys it when Auto Keying is on, as its own slider would."""
    block, scene = own.block(), bpy.context.scene
    if block is None:
        return
    block.value = min(max(value - own.value, block.slider_min), block.slider_max)
    if scene is not None and scene.tool_settings.use_keyframe_insert_auto:
        block.keyframe_insert("value", frame=scene.frame_current)


class EffigyOwn(bpy.types.PropertyGroup):
    """How far a face's own expression differs from the average one in the control ``name``."""

    value: FloatProperty(override=OVERRIDABLE)
    absolute: FloatProperty(
        description="This expression, counted from the average face's: 0 is at rest, for every person",
        soft_min=-1.0,
        soft_max=1.0,
        get=_absolute,
        set=_set_absolute,
        options=set(),  # the shape key is what is animated
    )

    def block(self) -> bpy.types.ShapeKey | None:
        """Returns the control's shape key, or None if there is none."""
        proxy = self.id_data
        keys = proxy.data.shape_keys if isinstance(proxy, bpy.types.Object) and proxy.type == "MESH" else None
        return None if keys is None else keys.key_blocks.get(self.name)
