# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate: the quad that shows the picture. Writing pixels and placing it; nothing is created here."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix

from ..core.pixels import Pixels, error_picture
from .properties import face_of


def show(proxy: bpy.types.Object, pixels: Pixels) -> None:
    """Writes a picture into the face's image."""
    image = face_of(proxy).image
    if image is None or len(pixels) != 4 * image.size[0] * image.size[1]:
        return
    image.pixels.foreach_set(pixels)
    image.update()
    # Without a tag, the viewport's anti-aliasing blends the old frame into the new one.
    image.update_tag()


def show_error(proxy: bpy.types.Object) -> None:
    """Writes the picture that nobody takes for a face."""
    image = face_of(proxy).image
    if image is not None:
        width, height = image.size
        show(proxy, error_picture(height, width))


def place(proxy: bpy.types.Object, matrix: np.ndarray) -> None:
    """Puts the plate where ``matrix`` [4, 4] says; touches nothing when it is there already."""
    plate = face_of(proxy).plate
    if plate is not None and not np.allclose(np.array(plate.matrix_world), matrix, rtol=0, atol=1e-6):
        plate.matrix_world = Matrix(matrix.tolist())
