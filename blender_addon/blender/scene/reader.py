# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene asks of a face. The same function serves preview, bake and render.

It reads evaluated objects only: while rendering, the originals are not animated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from effigy_client.pose import Angles, View, angles_of, plate_matrix
from effigy_protocol.messages import Encoding, PassName, Purpose, Synthesize

from ..translation import rpt_
from .controls import camera_of
from .properties import EffigyFace, face_of, has_own_plate


@dataclass(frozen=True, slots=True)
class FaceState:
    """One moment of a face: what the generator is asked for, and where the plate belongs.

    Values are rounded below what float32 matrices can hold, so that previews, bakes and renders of one pose ask
    for one and the same picture.
    """

    yaw: float
    pitch: float
    controls: tuple[tuple[str, float], ...]  # the non-zero ones
    plate: np.ndarray  # [4, 4] world matrix

    @property
    def parameters(self) -> tuple[object, ...]:
        """What the picture depends on."""
        return self.yaw, self.pitch, self.controls

    def request(
        self,
        identity: str,
        purpose: Purpose,
        encoding: Encoding = "rgba8",
        *,
        stream: int = 0,
        half: bool = False,
        passes: tuple[PassName, ...] = (),
    ) -> Synthesize:
        """What asks the service for this moment's picture of ``identity`` (its key there), and ``passes`` beside it."""
        return Synthesize(identity, self.yaw, self.pitch, dict(self.controls), purpose, encoding, stream, half, passes)

    @classmethod
    def of(cls, parameters: Any, plate: np.ndarray) -> FaceState:
        """The moment whose ``parameters`` these are."""
        yaw, pitch, controls = parameters
        return cls(yaw, pitch, controls, plate)


class UnreadableError(Exception):
    """The scene does not say how a face stands; the message says what to do."""


def read_face(proxy: bpy.types.Object, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> FaceState:
    """Reads a face as the scene's camera sees it now. Raises UnreadableError."""
    camera = camera_of(proxy, scene)
    if camera is None:
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
    view = View(
        head=np.array(proxy.evaluated_get(depsgraph).matrix_world, dtype=np.float64),
        camera=np.array(camera.evaluated_get(depsgraph).matrix_world, dtype=np.float64),
        perspective=camera.data.type == "PERSP",
    )
    angles = angles_of(view)
    face = face_of(proxy)
    plate = plate_matrix(view, angles.roll, face.rest_roll, face.plate_size, face.plate_offset)
    yaw, pitch = _snap(angles, face)
    return FaceState(round(yaw, 4), round(pitch, 4), _controls(proxy, depsgraph), plate)


def _is_animated(proxy: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether ``depsgraph`` evaluates the proxy's animation: see rig._keep_animated."""
    shown = face_of(proxy).plate
    tied = any(getattr(constraint, "target", None) == proxy for constraint in shown.constraints)
    return is_evaluated(proxy, depsgraph) or (tied and is_evaluated(shown, depsgraph))


def is_evaluated(obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether ``depsgraph`` evaluates an object for its own sake: it is visible there, in its view layer."""
    named = depsgraph.objects.get(obj.name)  # a scene may hold thousands
    if named is None or named.original == obj:
        return named is not None
    return any(other.original == obj for other in depsgraph.objects)  # a library has another of that name


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
    face = face_of(proxy)
    return tuple(
        (block.name, round(block.value, 6))
        for block in blocks
        if block.value != 0.0 and not block.mute and face.is_control(block.name)
    )
