# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture behind the camera's view: a background image of the camera, laid where the plate would be seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy
import numpy as np

from . import controls, framing
from .properties import EffigyFace, face_of

_STILL = 1e-5  # relative: what differs by less is not written, since that would wake the scene


def follow(proxy: bpy.types.Object, scene: bpy.types.Scene, plate: np.ndarray) -> bool:
    """Lays the picture over where the scene's camera would see ``plate`` [4, 4]; says whether it was not there yet.

    A library's camera cannot carry it.
    """
    face, camera = face_of(proxy), controls.camera_of(proxy, scene)
    lens = camera.data if camera is not None else None
    if face.image is None or camera is None or not isinstance(lens, bpy.types.Camera) or lens.library is not None:
        take_off(face)
        return False
    entry = next(iter(entries(face, [lens])), None)
    made = entry is None
    if entry is None:
        take_off(face)  # another camera's
        entry = lens.background_images.new()
        entry.image, entry.alpha, entry.display_depth, entry.frame_method = face.image, 1.0, "BACK", "FIT"
        lens.show_background_images = True
    width, height = face.image.size
    lies = framing.backdrop(camera, scene, plate, (width, height))
    if entry.show_background_image != (lies is not None):
        entry.show_background_image = lies is not None
    if lies is not None:
        wanted = np.array([*lies.offset, lies.rotation, lies.scale])
        apart = np.abs(wanted - (*entry.offset, entry.rotation, entry.scale))
        if (apart > _STILL * np.maximum(1.0, np.abs(wanted))).any():
            entry.offset, entry.rotation, entry.scale = lies.offset, lies.rotation, lies.scale
    return made


def take_off(face: EffigyFace, lenses: Iterable[Any] | None = None) -> None:
    """Removes the picture from behind the view of ``lenses``, or of all."""
    for lens in bpy.data.cameras if lenses is None else lenses:
        for entry in entries(face, [lens]):
            lens.background_images.remove(entry)


def entries(
    face: EffigyFace, lenses: Iterable[bpy.types.Camera] | None = None
) -> list[bpy.types.CameraBackgroundImage]:
    """The background images of ``lenses``, or of all, that show the face's picture."""
    pictures = [image for image in (face.image, face.baked) if image is not None]
    chosen = bpy.data.cameras if lenses is None else lenses
    return [entry for lens in chosen for entry in lens.background_images if entry.image in pictures]
