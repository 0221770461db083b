# SPDX-License-Identifier: Apache-2.0
"""An open identity: the latent that edits start from, and what the face model reads in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from effigy_protocol import ProtocolError
from effigy_protocol.messages import MAX_POSE, Pose

from ..editing import Parameters
from ..editing.parameters import ALPHA
from ..geometry import ShapeModel, angles
from ..geometry.camera import Array
from .latent import LatentError
from .person import Person


@dataclass(frozen=True, slots=True)
class Identity:
    """An anchor latent w0 and what the model reads in it.

    ``person`` is set for somebody made from a picture; ``latent`` then holds the bytes of everything that is known of
    them, and otherwise those of ``ws`` (see ``faces.latent``).
    """

    key: str  # hash of model and latent
    ws: Tensor  # w0, [num_ws, w_dim] float32
    latent: bytes
    q: Array  # φ(w0), [Q]
    pose: Pose  # the camera in q
    rest: Array  # the shape in q, [3, L]: the face with all controls at 0
    person: Person | None = None
    turns: float = 1.0  # degrees of yaw from its own that pictures show for each that φ reads
    # By control: the shares of what φ reads that pictures show, of values above zero and below; 1 where one is missing.
    shown: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def read_for(self, yaw: float) -> float:
        """Returns the yaw that φ is to read so that pictures show ``yaw``; degrees."""
        return yaw if self.turns == 1 else self.pose.yaw + (yaw - self.pose.yaw) / self.turns

    def shown_for(self, yaw: float) -> float:
        """Returns the yaw that pictures show where φ reads ``yaw``; degrees."""
        return yaw if self.turns == 1 else self.pose.yaw + (yaw - self.pose.yaw) * self.turns


def shares_by_name(names: Iterable[str], shown: Array) -> dict[str, tuple[float, float]]:
    """Returns ``Identity.shown`` from shares [2, C] of the controls ``names``."""
    return {name: (above, below) for name, above, below in zip(names, *shown.tolist(), strict=True)}


def pose_of(q: Array) -> Pose:
    """Returns the camera in one parameter vector q [Q]. Raises LatentError where it is not finite or out of bounds."""
    camera = Parameters.from_vector(q[None]).camera
    yaw, pitch, roll = (math.degrees(float(a[0])) for a in angles(camera.R))
    if not np.isfinite([yaw, pitch, roll]).all():
        raise no_face()
    try:
        return Pose(yaw, pitch, roll, float(camera.s[0]), float(camera.t[0, 0]), float(camera.t[0, 1]))
    except ProtocolError:
        raise no_face() from None


def pose_and_shape_of(q: Array, shape: ShapeModel) -> tuple[Pose, Array]:
    """Returns the camera and the landmarks [3, L] in q [Q]. Raises LatentError where either is out of bounds."""
    with np.errstate(all="ignore"):  # overflow gives infinities, which are refused below
        pose, rest = pose_of(q), shape.shape(q[None, ALPHA])[0]
        if not np.isfinite(q).all() or not np.abs(rest).max() <= MAX_POSE:
            raise no_face()
    return pose, rest


def no_face() -> LatentError:
    """Returns the error for a latent in which the model reads no possible face."""
    return LatentError("the latent is no face of this model: its pose or shape is beyond all bounds")
