# SPDX-License-Identifier: GPL-3.0-or-later
"""Has EEVEE's viewports draw shadows anew when an object ceases to cast one.

Before Blender 5.2 the shadow of a blended object, as the plate of a cut-out head is, stays on what it falls on until
that is drawn anew: EEVEE takes an object that casts no shadow for one that never did, unless it is opaque.
"""

from __future__ import annotations

from typing import Any

import bpy

from .queries import faces

_MENDED = (5, 2, 0)
_owner = object()


def subscribe() -> None:
    """Listens to Ray Visibility's Shadow, also where the panel shows it; Blender forgets this with every file."""
    bpy.msgbus.clear_by_owner(_owner)
    if bpy.app.version < _MENDED:
        key: Any = (bpy.types.Object, "visible_shadow")
        bpy.msgbus.subscribe_rna(key=key, owner=_owner, args=(), notify=cast_anew)


def cast_anew() -> None:
    """Tags the lights as moved, so that EEVEE draws their shadows anew.

    Other objects are left alone: Blender would hold their caches of physics for outdated.
    """
    if bpy.app.version < _MENDED:
        for scene in bpy.data.scenes:
            if faces(scene):
                for obj in scene.objects:
                    if obj.type == "LIGHT":
                        obj.update_tag(refresh={"OBJECT"})


def register() -> None:
    subscribe()


def unregister() -> None:
    bpy.msgbus.clear_by_owner(_owner)
