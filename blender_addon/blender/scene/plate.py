# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate: the quad that shows the picture. Writing pixels and placing it; nothing is created here."""

from __future__ import annotations

import contextlib

import bpy
import numpy as np
from mathutils import Matrix

from effigy_client.follower import ScreenError
from effigy_client.pixels import Maps, Pixels, error_picture

from ..translation import rpt_
from . import lit
from .properties import face_of

_TRANSFORMS = ("location", "rotation_quaternion", "scale")  # which a bake keys
_FLOAT32 = 4e-6  # a few roundings, relative


def show(proxy: bpy.types.Object, pixels: Pixels, maps: Maps | None = None) -> None:
    """Writes a picture into the face's image, and its maps for relighting into its maps. Raises ScreenError when the
    picture cannot be seen any more.
    """
    image = face_of(proxy).image
    if image is None:
        raise ScreenError(rpt_("the picture of {} was removed: add the face again", proxy.name))
    if len(pixels) != 4 * image.size[0] * image.size[1]:
        raise ScreenError(rpt_("the picture {} was resized: undo that, or add the face again", image.name))
    if image.source != "GENERATED" and image.packed_file is None:
        raise ScreenError(rpt_("the picture {} was saved to a file and shows that: pack it (Image ▸ Pack)", image.name))
    image.pixels.foreach_set(pixels)
    image.update()
    # Without a tag, the viewport's anti-aliasing blends the old frame into the new one.
    image.update_tag()
    if maps is not None:
        lit.write(face_of(proxy), maps)


def show_error(proxy: bpy.types.Object) -> None:
    """Writes the error picture, which cannot be mistaken for a face."""
    image = face_of(proxy).image
    if image is not None:
        width, height = image.size
        with contextlib.suppress(ScreenError):  # the panel says that
            show(proxy, error_picture(height, width))


def matrix(proxy: bpy.types.Object) -> np.ndarray:
    """Returns the plate's present world matrix, [4, 4]."""
    plate = face_of(proxy).plate
    return np.array(plate.matrix_world) if plate is not None else np.eye(4)


def place(proxy: bpy.types.Object, matrix: np.ndarray) -> None:
    """Puts the plate where ``matrix`` [4, 4] says; touches nothing when it is there already."""
    plate = face_of(proxy).plate
    if plate is None:
        return
    # What Blender stores is float32: a finer comparison would write, and so wake the scene, for ever.
    tolerance = _FLOAT32 * max(1.0, float(np.abs(matrix).max()))
    if not np.abs(np.array(plate.matrix_world) - matrix).max() <= tolerance:
        plate.matrix_world = Matrix(matrix.tolist())


def remove_keys(shown: bpy.types.Object | None, frames: range) -> None:
    """Removes the keys that a bake put on a plate, and no other animation of it."""
    if shown is None or shown.animation_data is None:
        return
    for transform in _TRANSFORMS:
        for frame in frames:
            with contextlib.suppress(RuntimeError):  # this frame has none
                shown.keyframe_delete(transform, frame=frame)
