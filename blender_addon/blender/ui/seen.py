# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the current picture of a camera or film small in a corner of the viewport, with the points found in it.

It is drawn from memory: no image data-block and no file holds it.
"""

from __future__ import annotations

from typing import Any

import blf
import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from effigy_client.capture.process import CameraPicture

_POINT = (255, 200, 40)  # RGB of a point that was found
_WIDTH = 200  # pixels on the screen
_PLACE = (75, 70)  # of the lower left corner: beside the toolbar, above what adjusts the last operation
_LETTERS = 12


class Corner:
    """Draws it in every 3D viewport until it is closed."""

    def __init__(self) -> None:
        self._shown: CameraPicture | None = None
        self._name = ""
        self._texture: Any = None  # of what is shown
        self._handle: Any = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "WINDOW", "POST_PIXEL")

    def show(self, seen: CameraPicture | None, name: str) -> bool:
        """Shows what the camera sees; returns whether that is new."""
        if seen is self._shown and name == self._name:
            return False
        self._shown, self._name, self._texture = seen, name, None
        return True

    def close(self) -> None:
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        self._shown = self._texture = None

    def _draw(self) -> None:
        if self._shown is None:
            return
        picture = with_points(self._shown)
        if self._texture is None:
            self._texture = _texture(picture)
        scale = bpy.context.preferences.system.ui_scale
        (x, y), width = np.multiply(_PLACE, scale), _WIDTH * scale
        top = y + width * picture.shape[0] / picture.shape[1]
        shader = gpu.shader.from_builtin("IMAGE")
        shader.uniform_sampler("image", self._texture)
        corners = [(x, y), (x + width, y), (x + width, top), (x, top)]
        where: Any = {"pos": corners, "texCoord": [(0, 0), (1, 0), (1, 1), (0, 1)]}
        batch_for_shader(shader, "TRI_FAN", where).draw(shader)
        blf.size(0, _LETTERS * scale)
        blf.position(0, x, top + 6 * scale, 0)
        blf.draw(0, self._name)


def with_points(seen: CameraPicture) -> np.ndarray:
    """Returns the picture [H, W, 3] with a pixel for each point."""
    picture = seen.picture.copy()
    height, width = picture.shape[:2]
    places = (seen.points * (width, height)).astype(int)
    inside = ((places >= 0) & (places < (width, height))).all(axis=1)
    x, y = places[inside].T
    picture[y, x] = _POINT
    return picture


def _texture(picture: np.ndarray) -> Any:
    height, width = picture.shape[:2]
    values = np.ones((height, width, 4), np.float32)
    values[..., :3] = picture[::-1] / np.float32(255)
    types: Any = gpu.types  # whose stubs know none of these arguments
    data = types.Buffer("FLOAT", values.size, values.reshape(-1))
    # Before 5.0 the shader leaves the viewport's conversion to sRGB to the texture.
    kind = "RGBA8" if bpy.app.version >= (5, 0, 0) else "SRGB8_A8"
    return types.GPUTexture((width, height), format=kind, data=data)
