# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a face's pose and expression from a scene. The same function serves preview, bake and render.

It reads evaluated objects only: while rendering, the originals are not animated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from effigy_client.parameters import PictureParameters
from effigy_client.pose import Angles, View, angles_of, plate_matrix
from effigy_protocol.messages import MatteName
from effigy_protocol.record import SAME_POSE

from ..translation import rpt_
from .controls import camera_of
from .properties import EffigyFace, face_of
from .queries import has_own_plate
from .viewing import Viewpoint


@dataclass(frozen=True, slots=True)
class FaceState:
    """A face at one moment: the parameters of its picture, and where the plate belongs."""

    parameters: PictureParameters
    plate: np.ndarray  # [4, 4] world matrix
    roll: float  # degrees, as the camera sees the head: the plate carries it


class UnreadableError(Exception):
    """The scene does not say how a face stands; the message says what to do."""


def read_face(
    proxy: bpy.types.Object, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, by: Viewpoint | None = None
) -> FaceState:
    """Reads a face as the scene's camera sees it now, or where ``by`` counts, a viewport. Raises UnreadableError."""
    camera = camera_of(proxy, scene)
    head = np.array(proxy.evaluated_get(depsgraph).matrix_world, dtype=np.float64)
    seen = by.look_at(head) if by is not None else None
    if camera is None and seen is None:
        raise UnreadableError(rpt_("scene {} has no camera: add one, or choose one in its properties", scene.name))
    if not has_own_plate(proxy):
        raise UnreadableError(
            rpt_("{} has no plate of its own: open the file in a window, or add the face again", proxy.name)
        )
    if not _is_animated(proxy, depsgraph):
        raise UnreadableError(
            rpt_(
                "{} is hidden and its plate has lost the constraint that keeps it animated: "
                "show the proxy in viewports and renders, or add the face again",
                proxy.name,
            )
        )
    view = seen or view_by(camera, head, depsgraph)
    angles = angles_of(view)
    face = face_of(proxy)
    plate = plate_matrix(view, angles.roll, face.rest_roll, face.plate_size, face.plate_offset)
    yaw, pitch = _snap(angles, face)
    matte: MatteName = "head" if face.matte == "HEAD" else "none"
    keep = face_of(proxy.evaluated_get(depsgraph)).keep
    parameters = PictureParameters.of(yaw, pitch, _controls(proxy, depsgraph), matte, lit=face.lit, keep=keep)
    return FaceState(parameters, plate, angles.roll)


def view_by(camera: Any, head: np.ndarray, depsgraph: bpy.types.Depsgraph) -> View:
    """Returns how the evaluated ``camera`` sees a head at ``head`` [4, 4]."""
    stands = np.array(camera.evaluated_get(depsgraph).matrix_world, dtype=np.float64)
    return View(head, stands, perspective=camera.data.type == "PERSP")


def _is_animated(proxy: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bool:
    """Returns whether ``depsgraph`` evaluates the proxy's animation: see rig._keep_animated."""
    shown = face_of(proxy).plate
    tied = any(getattr(constraint, "target", None) == proxy for constraint in shown.constraints)
    return is_evaluated(proxy, depsgraph) or (tied and is_evaluated(shown, depsgraph))


def is_evaluated(obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bool:
    """Returns whether ``depsgraph`` evaluates an object for its own sake: it is visible there, in its view layer."""
    named = depsgraph.objects.get(obj.name)  # a scene may hold thousands
    if named is None or named.original == obj:
        return named is not None
    return any(other.original == obj for other in depsgraph.objects)  # a library has another of that name


def _snap(angles: Angles, face: EffigyFace) -> tuple[float, float]:
    """Returns yaw and pitch; exactly the identity's own where the difference is within float32's rounding."""
    rest = face.rest_yaw, face.rest_pitch
    if abs(angles.yaw - rest[0]) < SAME_POSE and abs(angles.pitch - rest[1]) < SAME_POSE:
        return rest
    return angles.yaw, angles.pitch


def _controls(proxy: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> list[tuple[str, float]]:
    keys = proxy.data.shape_keys
    if keys is None:
        return []
    blocks = keys.evaluated_get(depsgraph).key_blocks[1:]  # without the basis
    face = face_of(proxy)
    return [(block.name, block.value) for block in blocks if not block.mute and face.is_control(block.name)]
