# SPDX-License-Identifier: Apache-2.0
"""Linear maps from what MediaPipe reads in a photograph to a face model's controls and pose.

A reading is compared with one of the same person at rest or, without one, of an average person. The controls follow
from the differences of MediaPipe's 52 expression scores, of its mesh, turned to look ahead, and of what the eyes look
like. Polynomials of the turn take out how these change when the head turns alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..geometry import angles, load_topology
from ..geometry.camera import Array
from ..landmarks.photo import EYES, POINTS, SCORES, Face, Head, head, photographed
from ..tensor_files import check_finite, read_tensors, write_tensors

FILE = "photo.safetensors"
_MOST_CORRECTED = 6.0  # degrees; at most so much is a pose corrected for the shape of the face
_MESH = 3 * POINTS
_TWINS = [
    SCORES.index(name.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right")) for name in SCORES
]  # for each score the number of its mirror image
_TENSORS = ("scores", "mesh", "turn", "rest", "rest_mesh", "pose", "pose_mesh")
_EYE_TENSORS = ("eyes", "rest_eyes")  # absent where a map was learnt before eyes were looked at


@dataclass(frozen=True, slots=True)
class Features:
    """What MediaPipe reads of a face in a picture; angles in degrees."""

    scores: Array  # [52] in [0, 1], by expression
    mesh: Array  # [3 · 478]: the face turned to look ahead, in outer-eye distances
    eyes: Array  # [EYES]: pixels of the right eye, and of the left one mirrored
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
        return Features(face.scores, read.points.reshape(-1), face.eyes.reshape(-1), yaw, pitch, roll)

    @staticmethod
    def median(several: list[Features]) -> Features:
        """Returns the median of each number; over a film that is the person's most frequent state."""
        scores, mesh, eyes = (
            np.median([getattr(f, name) for f in several], axis=0) for name in ("scores", "mesh", "eyes")
        )
        yaw, pitch, roll = (float(np.median([getattr(f, name) for f in several])) for name in ("yaw", "pitch", "roll"))
        return Features(scores, mesh, eyes, yaw, pitch, roll)

    def mirrored(self) -> Features:
        """Returns the features of the mirror image."""
        points = self.mesh.reshape(3, -1)[:, load_topology("mediapipe478").mirror] * [[-1.0], [1.0], [1.0]]
        eyes = np.roll(self.eyes, EYES // 2)
        return Features(self.scores[_TWINS], points.reshape(-1), eyes, -self.yaw, self.pitch, -self.roll)

    def turn(self) -> Array:
        """Returns yaw, pitch, yaw², pitch² and yaw · pitch, [5], in radians."""
        yaw, pitch = np.radians(self.yaw), np.radians(self.pitch)
        return np.array([yaw, pitch, yaw**2, pitch**2, yaw * pitch])


@dataclass(frozen=True, slots=True)
class PhotoMap:
    """The maps of one face model with C controls.

    controls = (Δ scores) · ``scores`` + (Δ mesh) · ``mesh`` + (Δ eyes) · ``eyes`` + (Δ turn) · ``turn``, with
    differences to a face at rest.
    """

    controls: tuple[str, ...]  # their names
    scores: Array  # [52, C]
    mesh: Array  # [3 · 478, C]
    eyes: Array  # [EYES, C]
    turn: Array  # [5, C]
    rest: Array  # [52]: the scores of the model's average person at rest
    rest_mesh: Array  # [3 · 478]: their mesh
    rest_eyes: Array  # [EYES]: and their eyes
    pose: Array  # [2, 2]: slope, and offset in degrees, of yaw and of pitch
    pose_mesh: Array  # [3 · 478, 2]: degrees of yaw and pitch for a mesh that differs from ``rest_mesh``
    correlations: dict[str, float]  # of each control, "yaw" and "pitch" with the truth, on held-out people

    def own_rest(self) -> Features:
        """Returns the features of the model's average person, who looks ahead."""
        return Features(self.rest, self.rest_mesh, self.rest_eyes, 0.0, 0.0, 0.0)

    @staticmethod
    def photographed_rest() -> Features:
        """Returns the features of an average photographed person at rest, who looks ahead. Raises DetectorError."""
        people = photographed()
        return Features(people.scores, people.mesh, people.eyes, 0.0, 0.0, 0.0)

    def read_controls(self, seen: Features, rest: Features) -> dict[str, float]:
        """Returns the controls by which ``seen`` differs from ``rest``, the same or an average person's at rest."""
        values = (
            (seen.scores - rest.scores) @ self.scores
            + (seen.mesh - rest.mesh) @ self.mesh
            + (seen.eyes - rest.eyes) @ self.eyes
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
        names = (*_TENSORS, *_EYE_TENSORS)
        write_tensors(folder / FILE, {f"photo.{name}": torch.from_numpy(getattr(self, name)).float() for name in names})

    def entry(self) -> dict[str, Any]:
        """Returns its entry in the bundle's header."""
        return {"correlations": {name: round(value, 3) for name, value in self.correlations.items()}}


def read_photo_map(folder: Path, entry: dict[str, Any], controls: tuple[str, ...]) -> PhotoMap:
    """Reads the maps in ``folder``. Raises KeyError, TypeError or ValueError where they are damaged.

    Maps that were learnt before eyes were looked at do not read them.
    """
    arrays, C, S = read_tensors(folder / FILE), len(controls), len(SCORES)
    if not any(f"photo.{name}" in arrays for name in _EYE_TENSORS):
        arrays |= {"photo.eyes": torch.zeros(EYES, C), "photo.rest_eyes": torch.zeros(EYES)}
    rounded = {name: arrays[f"photo.{name}"].float() for name in (*_TENSORS, *_EYE_TENSORS)}  # as ``save`` does
    check_finite({f"photo.{name}": values for name, values in rounded.items()})
    found = {name: values.double().numpy() for name, values in rounded.items()}
    wanted = {
        "scores": (S, C), "mesh": (_MESH, C), "turn": (5, C), "rest": (S,), "rest_mesh": (_MESH,),
        "pose": (2, 2), "pose_mesh": (_MESH, 2), "eyes": (EYES, C), "rest_eyes": (EYES,),
    }  # fmt: skip
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise ValueError(f"its photo.{name} is {list(found[name].shape)} where this model has {list(shape)}")
    correlations = {name: float(entry["correlations"][name]) for name in (*controls, "yaw", "pitch")}
    return PhotoMap(controls, correlations=correlations, **found)
