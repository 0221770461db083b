# SPDX-License-Identifier: GPL-3.0-or-later
"""Visits the frames of a scene, for what must know all of them before anything is rendered."""

from __future__ import annotations

from collections.abc import Iterator

import bpy

from . import controls
from .properties import face_of
from .queries import faces

_MOST = 4000


def spread(scene: bpy.types.Scene) -> range:
    """Returns the scene's frames, or every nth of very many, because looking at each takes half a millisecond."""
    frames = range(scene.frame_start, scene.frame_end + 1)
    return frames[:: 1 + len(frames) // _MOST]


def visit(scene: bpy.types.Scene, frames: range | None = None) -> Iterator[int]:
    """Goes through ``frames``, or those of ``spread``, and at the end back to the current one.

    Changes of faces and the scene's camera that are not keyed would be lost by that, so they are restored.
    """
    before, within, camera = scene.frame_current, scene.frame_subframe, scene.camera
    own = [proxy for proxy in faces(scene) if proxy.library is None]
    moved = [*own, camera] if camera is not None and camera.library is None else own
    places = [(obj, controls.placement_of(obj)) for obj in moved]
    values = [(proxy, {block.name: block.value for block in controls.sliders_of(proxy)}) for proxy in own]
    likeness = [(face_of(proxy), face_of(proxy).keep) for proxy in own]
    try:
        for frame in spread(scene) if frames is None else frames:
            scene.frame_set(frame)
            yield frame
    finally:
        scene.frame_set(before, subframe=within)
        for obj, place in places:
            controls.put_back(obj, place)
        for proxy, shape in values:
            controls.set_values(proxy, shape)
        for face, keep in likeness:
            if face.keep != keep:
                face.keep = keep
        scene.camera = camera  # markers may have bound another
