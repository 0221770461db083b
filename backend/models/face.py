# SPDX-License-Identifier: Apache-2.0
"""The face model at work: identities, edits and pictures.

A picture is a function of (model, anchor latent, asked yaw, pitch and controls) alone, and an edit of zero
is the anchor itself, bit for bit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..editing import InverseOptions, Parameters, Regressor, invert
from ..editing.parameters import ALPHA, ROTATION, SCALE, SHIFT
from ..generators import Generator
from ..geometry import ShapeModel, Topology, angles, rotation
from ..geometry.camera import Array
from ..geometry.expressions import Expression
from .latent import LatentError, latent_from_bytes, latent_to_bytes

__all__ = ["Edit", "FaceModel", "Identity", "LatentError", "PoseAngles"]

# What error weighs as much as one standard deviation of latent distance: see editing.inverse.
_ROTATION_TOLERANCE = 0.01  # radians
_SHAPE_TOLERANCE = 0.03  # root-mean-square landmark shift, in outer-eye distances
_CONTROL_TOLERANCE = 0.03  # of a control's full strength
# The plate carries size and shift exactly, so the latent edit only keeps them from drifting far.
_SCALE_TOLERANCE = 0.05  # of log scale
_SHIFT_TOLERANCE = 0.03  # of the picture's width
_SAME_POSE = 1e-3  # degrees: a scene's matrices are float32, and its rest pose must be the identity's own


@dataclass(frozen=True, slots=True)
class PoseAngles:
    """A weak-perspective camera: angles in degrees, scale in picture widths per unit, origin (x, y) in [0, 1]."""

    yaw: float
    pitch: float
    roll: float
    scale: float
    x: float
    y: float

    @staticmethod
    def of(q: Array) -> PoseAngles:
        """The camera in one parameter vector q [Q]."""
        camera = Parameters.from_vector(q[None]).camera
        yaw, pitch, roll = (math.degrees(float(a[0])) for a in angles(camera.R))
        return PoseAngles(yaw, pitch, roll, float(camera.s[0]), float(camera.t[0, 0]), float(camera.t[0, 1]))


@dataclass(frozen=True, slots=True)
class Identity:
    """An anchor latent and what the model reads in it."""

    key: str  # hash of model and latent
    ws: Tensor  # [num_ws, w_dim] float32
    latent: bytes
    q: Array  # [Q] = φ(w0)
    pose: PoseAngles
    rest: Array  # [3, L], the face with all controls at 0


@dataclass(frozen=True, slots=True)
class Edit:
    """The latent that an edit led to, the camera it shows, and what was asked beyond the data's range."""

    ws: Tensor  # [num_ws, w_dim]
    pose: PoseAngles
    clamped: tuple[str, ...]


class FaceModel:
    """A generator with its shape model, regressor and named controls."""

    def __init__(
        self,
        name: str,
        model_id: str,
        generator: Generator,
        topology: Topology,
        shape: ShapeModel,
        regressor: Regressor,
        controls: list[Expression],
        pose_range: tuple[float, float],
    ) -> None:
        """``pose_range``: the largest |yaw| and |pitch| of the training data, in degrees."""
        self.name = name
        self.model_id = model_id
        self.generator = generator
        self.topology = topology
        self.shape = shape
        self.regressor = regressor
        self.controls = {control.name: control for control in controls}
        self.pose_range = pose_range
        self._weigh = torch.from_numpy(_weigh(shape, controls))

    def open_seed(self, seed: int, truncation: float = 0.7) -> Identity:
        """The identity of ``seed`` as the official scripts number them; truncation pulls it to the mean face."""
        z = np.random.RandomState(seed).randn(1, self.generator.z_dim)
        z32 = torch.from_numpy(z).float().to(self.generator.device)
        return self._open(self.generator.map(z32, truncation)[0].cpu().numpy())

    def open_latent(self, latent: bytes | memoryview) -> Identity:
        """The identity that ``latent`` (an Identity's bytes) anchors; raises LatentError if it is none of ours."""
        return self._open(latent_from_bytes(latent, self.generator.num_ws, self.generator.w_dim))

    def _open(self, ws: NDArray[np.float32]) -> Identity:
        latent = latent_to_bytes(ws)
        anchor = torch.from_numpy(ws.copy())
        q = self.regressor.of_latents(_single(anchor)).numpy()[0]
        key = hashlib.sha256(self.model_id.encode() + latent).hexdigest()[:16]
        return Identity(key, anchor, latent, q, PoseAngles.of(q), self.shape.shape(q[None, ALPHA])[0])

    def edit(
        self,
        identity: Identity,
        yaw: float,
        pitch: float,
        controls: Mapping[str, float],
        options: InverseOptions = InverseOptions(),
    ) -> Edit:
        """The latent near the identity's whose face is turned to (yaw, pitch) degrees, with the controls' shape.

        Roll, size and shift stay the identity's own; ``options`` choose the inverse. Raises KeyError for a
        control that the model has not.
        """
        clamped: list[str] = []
        yaw = self._limit("yaw", yaw, -self.pose_range[0], self.pose_range[0], identity.pose.yaw, clamped)
        pitch = self._limit("pitch", pitch, -self.pose_range[1], self.pose_range[1], identity.pose.pitch, clamped)
        change = np.zeros(len(identity.q))
        if abs(yaw - identity.pose.yaw) > _SAME_POSE or abs(pitch - identity.pose.pitch) > _SAME_POSE:
            turned = rotation(*(np.radians([a]) for a in (yaw, pitch, identity.pose.roll)))
            target = Parameters.from_vector(identity.q[None])
            target.camera.R[:] = turned
            change[ROTATION] = target.to_vector()[0, ROTATION] - identity.q[ROTATION]
        for name, value in controls.items():
            control = self.controls[name]
            change[ALPHA] += self._limit(name, value, control.low, control.high, 0.0, clamped) * control.direction
        if not change.any():
            return Edit(identity.ws, identity.pose, tuple(clamped))
        anchor = _single(identity.ws)
        moved, q = invert(self.regressor, anchor, torch.from_numpy(change)[None], self._weigh, options)
        ws = identity.ws + (moved - anchor).float()
        return Edit(ws, PoseAngles.of(q.numpy()[0]), tuple(clamped))

    def _limit(self, name: str, value: float, low: float, high: float, rest: float, clamped: list[str]) -> float:
        """``value`` within [low, high], widened to hold ``rest``; notes the name of what was cut."""
        limited = min(max(value, min(low, rest)), max(high, rest))
        if limited != value:
            clamped.append(name)
        return limited

    def paint(self, ws: Tensor) -> NDArray[np.uint8]:
        """w+ [N, num_ws, w_dim] → pictures [N, H, W, 3], rounded as the official scripts do."""
        images = self.generator.synthesize(ws.to(self.generator.device))
        pictures = (images * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        return np.ascontiguousarray(pictures.cpu().numpy())


def _single(ws: Tensor) -> Tensor:
    """The one w [1, w_dim] in float64 by which the regressor reads a w+ [num_ws, w_dim]."""
    return ws.double().mean(dim=0, keepdim=True)


def _weigh(shape: ShapeModel, controls: list[Expression]) -> Array:
    """[6 + K + C, 6 + K]: errors of pose, of every coefficient, and of what the controls read from them.

    A control's direction is never quite what the generator can do: its reading must come out, while the
    rest of the face may follow as the generator's own faces do.
    """
    size = np.sqrt((shape.basis**2).sum(axis=1).mean(axis=1))  # rms landmark shift per unit of α
    tolerance = np.empty(6 + len(size))
    tolerance[ROTATION] = _ROTATION_TOLERANCE
    tolerance[SCALE] = _SCALE_TOLERANCE
    tolerance[SHIFT] = _SHIFT_TOLERANCE
    tolerance[ALPHA] = _SHAPE_TOLERANCE / np.maximum(size, 1e-6)
    readings = np.zeros((len(controls), len(tolerance)))
    readings[:, ALPHA] = [control.reading / _CONTROL_TOLERANCE for control in controls]
    return np.concatenate([np.diag(1 / tolerance), readings])
