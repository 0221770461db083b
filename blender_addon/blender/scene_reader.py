# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene asks of a face. The same function serves preview, bake and render.

It reads evaluated objects only: while rendering, the originals are not animated.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from ..core.pose import Angles, View, angles_of, plate_matrix
from .properties import EffigyFace, face_of


@dataclass(frozen=True, slots=True)
class FaceState:
    """One moment of a face: what the generator is asked for, and where the plate belongs."""

    yaw: float
    pitch: float
    controls: tuple[tuple[str, float], ...]  # the non-zero ones
    plate: np.ndarray  # [4, 4] world matrix

    @property
    def parameters(self) -> tuple[object, ...]:
        """What the picture depends on; rounded below what float32 matrices can hold."""
        return round(self.yaw, 4), round(self.pitch, 4), self.controls


class UnreadableError(Exception):
    """The scene does not say how a face stands; the message says what to do."""


def read_face(proxy: bpy.types.Object, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> FaceState:
    """Reads a face as the scene's camera sees it now. Raises UnreadableError."""
    camera = scene.camera or face_of(proxy).camera
    if camera is None:
        raise UnreadableError(f"scene {scene.name} has no camera: add one, or choose one in its properties")
    view = View(
        head=_world_matrix(proxy, depsgraph),
        camera=_world_matrix(camera, depsgraph),
        perspective=camera.data.type == "PERSP",
    )
    angles = angles_of(view)
    face = face_of(proxy)
    plate = plate_matrix(view, angles.roll, face.rest_roll, face.plate_size, face.plate_offset)
    return FaceState(*_snap(angles, face), _controls(proxy, depsgraph), plate)


def _world_matrix(obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> np.ndarray:
    evaluated = obj.evaluated_get(depsgraph)
    if not evaluated.is_evaluated:
        raise UnreadableError(
            f"{obj.name} is hidden, so that Blender does not animate it here: enable it in viewports and renders "
            "(a face's proxy is never rendered; to hide it from view, use the eye or a local view)"
        )
    return np.array(evaluated.matrix_world, dtype=np.float64)


def _snap(angles: Angles, face: EffigyFace) -> tuple[float, float]:
    """Yaw and pitch; exactly the identity's own where the float32 scene can mean nothing else."""
    rest = face.rest_yaw, face.rest_pitch
    if abs(angles.yaw - rest[0]) < 1e-3 and abs(angles.pitch - rest[1]) < 1e-3:
        return rest
    return angles.yaw, angles.pitch


def _controls(proxy: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> tuple[tuple[str, float], ...]:
    keys = proxy.data.shape_keys
    if keys is None:
        return ()
    blocks = keys.evaluated_get(depsgraph).key_blocks[1:]  # without the basis
    return tuple((block.name, block.value) for block in blocks if block.value != 0.0 and not block.mute)
