# SPDX-License-Identifier: Apache-2.0
"""Linear maps from what MediaPipe reads in a photograph to a face model's controls and pose.

A reading is compared with one of the same person at rest or, without one, of an average person. The controls follow
from the differences of MediaPipe's 52 expression scores and of its mesh, turned to look ahead. Polynomials of the turn
take out how both change when the head turns alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..geometry import angles, load_topology
from ..geometry.camera import Array
from ..landmarks.photo import POINTS, SCORES, Face, Head, head, photographed
from ..tensor_files import read_tensors, write_tensors

FILE = "photo.safetensors"
_MOST_CORRECTED = 6.0  # degrees; at most so much is a pose corrected for the shape of the face
_MESH = 3 * POINTS
_TWINS = [
    SCORES.index(name.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right")) for name in SCORES
]  # for each score the number of its mirror image
_TENSORS = ("scores", "mesh", "turn", "rest", "rest_mesh", "pose", "pose_mesh")


@dataclass(frozen=True, slots=True)
class Features:
    """What MediaPipe reads of a face in a picture; angles in degrees."""

    scores: Array  # [52] in [0, 1], by expression
    mesh: Array  # [3 · 478]: the face turned to look ahead, in outer-eye distances
    yaw: float
    pitch: float
    roll: float

    @staticmethod
    def of(face: Face, read: Head | None = None) -> Features:
        """Computes the features of ``face``; ``read`` is its ``head``, if that was computed before.

        Raises DetectorError.
        """
        read = head(face.points) if read is None else read
        yaw, pitch, roll = (float(np.degrees(angle)) for angle in angles(read.R))
        return Features(face.scores, read.points.reshape(-1), yaw, pitch, roll)

    @staticmethod
    def median(several: list[Features]) -> Features:
        """Returns the median of each number; over a film that is the person's most frequent state."""
        scores, mesh = (np.median([getattr(f, name) for f in several], axis=0) for name in ("scores", "mesh"))
        yaw, pitch, roll = (float(np.median([getattr(f, name) for f in several])) for name in ("yaw", "pitch", "roll"))
        return Features(scores, mesh, yaw, pitch, roll)

    def mirrored(self) -> Features:
        """Returns the features of the mirror image."""
        points = self.mesh.reshape(3, -1)[:, load_topology("mediapipe478").mirror] * [[-1.0], [1.0], [1.0]]
        return Features(self.scores[_TWINS], points.reshape(-1), -self.yaw, self.pitch, -self.roll)

    def turn(self) -> Array:
        """Returns yaw, pitch, yaw², pitch² and yaw · pitch, [5], in radians."""
        yaw, pitch = np.radians(self.yaw), np.radians(self.pitch)
        return np.array([yaw, pitch, yaw**2, pitch**2, yaw * pitch])


@dataclass(frozen=True, slots=True)
class PhotoMap:
    """The maps of one face model with C controls.

    controls = (Δ scores) · ``scores`` + (Δ mesh) · ``mesh`` + (Δ turn) · ``turn``, with differences to a face at rest.
    """

    controls: tuple[str, ...]  # their names
    scores: Array  # [52, C]
    mesh: Array  # [3 · 478, C]
    turn: Array  # [5, C]
    rest: Array  # [52]: the scores of the model's average person at rest
    rest_mesh: Array  # [3 · 478]: and their mesh
    pose: Array  # [2, 2]: slope, and offset in degrees, of yaw and of pitch
    pose_mesh: Array  # [3 · 478, 2]: degrees of yaw and pitch for a mesh that differs from ``rest_mesh``
    correlations: dict[str, float]  # of each control, "yaw" and "pitch" with the truth, on held-out people

    def own_rest(self) -> Features:
        """Returns the features of the model's average person, who looks ahead."""
        return Features(self.rest, self.rest_mesh, 0.0, 0.0, 0.0)

    @staticmethod
    def photographed_rest() -> Features:
        """Returns the features of an average photographed person at rest, who looks ahead. Raises DetectorError."""
        people = photographed()
        return Features(people.scores, people.mesh, 0.0, 0.0, 0.0)

    def read_controls(self, seen: Features, rest: Features) -> dict[str, float]:
        """Returns the controls by which ``seen`` differs from ``rest``, the same or an average person's at rest."""
        values = (
            (seen.scores - rest.scores) @ self.scores
            + (seen.mesh - rest.mesh) @ self.mesh
            + (seen.turn() - rest.turn()) @ self.turn
        )
        return dict(zip(self.controls, values.tolist(), strict=True))

    def read_pose(self, seen: Features) -> tuple[float, float, float]:
        """Returns yaw, pitch and roll in degrees, as the face model defines them."""
        angles_ = self.pose[:, 0] * (seen.yaw, seen.pitch) + self.pose[:, 1]
        shape = np.clip((seen.mesh - self.rest_mesh) @ self.pose_mesh, -_MOST_CORRECTED, _MOST_CORRECTED)
        yaw, pitch = (angles_ + shape).tolist()
        return yaw, pitch, seen.roll

    def save(self, folder: Path) -> None:
        """Writes FILE into ``folder``. Raises OSError."""
        write_tensors(
            folder / FILE, {f"photo.{name}": torch.from_numpy(getattr(self, name)).float() for name in _TENSORS}
        )

    def entry(self) -> dict[str, Any]:
        """Returns its entry in the bundle's header."""
        return {"correlations": {name: round(value, 3) for name, value in self.correlations.items()}}


def read_photo_map(folder: Path, entry: dict[str, Any], controls: tuple[str, ...]) -> PhotoMap:
    """Reads the maps in ``folder``. Raises KeyError, TypeError or ValueError where they are damaged."""
    arrays = read_tensors(folder / FILE)
    found = {name: arrays[f"photo.{name}"].double().numpy() for name in _TENSORS}
    C, S = len(controls), len(SCORES)
    wanted = {
        "scores": (S, C), "mesh": (_MESH, C), "turn": (5, C), "rest": (S,), "rest_mesh": (_MESH,),
        "pose": (2, 2), "pose_mesh": (_MESH, 2),
    }  # fmt: skip
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise ValueError(f"its photo.{name} is {list(found[name].shape)} where this model has {list(shape)}")
    correlations = {name: float(entry["correlations"][name]) for name in (*controls, "yaw", "pitch")}
    return PhotoMap(controls, correlations=correlations, **found)
