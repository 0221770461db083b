# SPDX-License-Identifier: Apache-2.0
"""What readings of photographs mean to a face model: its named controls and its pose, as linear maps.

A reading is compared with one of the same person at rest or, where there is none, with an average person's. What
differs are MediaPipe's 52 scores, and the mesh without its pose; how far the head is turned tells what both make of a
turn alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..geometry import angles, load_topology
from ..geometry.camera import Array
from ..landmarks.photo import POINTS, SCORES, Face, Head, average_person, head
from ..tensor_files import read_tensors, write_tensors

FILE = "photo.safetensors"
_MOST_CORRECTED = 6.0  # degrees by which the shape of a face changes what is read as its pose
_MESH = 3 * POINTS
_TWINS = [
    SCORES.index(name.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right")) for name in SCORES
]  # of each score, that of the other side
_TENSORS = ("scores", "mesh", "turn", "rest", "rest_mesh", "pose", "pose_mesh")


@dataclass(frozen=True, slots=True)
class Features:
    """What a face in a picture shows. Angles in degrees, as read."""

    scores: Array  # [52]
    mesh: Array  # [3 · 478]: the face looking ahead, in outer-eye distances
    yaw: float
    pitch: float
    roll: float

    @staticmethod
    def of(face: Face, read: Head | None = None) -> Features:
        """``read``: the face's ``head``, where that is known already. Raises DetectorError."""
        read = head(face.points) if read is None else read
        yaw, pitch, roll = (float(np.degrees(angle)) for angle in angles(read.R))
        return Features(face.scores, read.points.reshape(-1), yaw, pitch, roll)

    @staticmethod
    def median(several: list[Features]) -> Features:
        """The middle of each number: of a film, where its person is most of the time."""
        scores, mesh = (np.median([getattr(f, name) for f in several], axis=0) for name in ("scores", "mesh"))
        yaw, pitch, roll = (float(np.median([getattr(f, name) for f in several])) for name in ("yaw", "pitch", "roll"))
        return Features(scores, mesh, yaw, pitch, roll)

    def mirrored(self) -> Features:
        """What the mirror image shows."""
        points = self.mesh.reshape(3, -1)[:, load_topology("mediapipe478").mirror] * [[-1.0], [1.0], [1.0]]
        return Features(self.scores[_TWINS], points.reshape(-1), -self.yaw, self.pitch, -self.roll)

    def turn(self) -> Array:
        """[5]: polynomials of how far the head is turned."""
        yaw, pitch = np.radians(self.yaw), np.radians(self.pitch)
        return np.array([yaw, pitch, yaw**2, pitch**2, yaw * pitch])


@dataclass(frozen=True, slots=True)
class PhotoMap:
    """The maps of one face model with C controls, named ``controls``.

    ``correlations``: of each control, and of yaw and pitch, as read in pictures of people that it did not learn from,
    with the truth.
    """

    controls: tuple[str, ...]
    scores: Array  # [52, C]
    mesh: Array  # [3 · 478, C]
    turn: Array  # [5, C]
    rest: Array  # [52]: an average person of the model's at rest
    rest_mesh: Array  # [3 · 478]
    pose: Array  # [2, 2]: yaw's and pitch's slope, and offset in degrees
    pose_mesh: Array  # [3 · 478, 2]: degrees that the shape of a face adds to them
    correlations: dict[str, float]

    def own_rest(self) -> Features:
        """An average person's of the model's own, looking ahead."""
        return Features(self.rest, self.rest_mesh, 0.0, 0.0, 0.0)

    def photographed_rest(self) -> Features:
        """An average person's in a photograph, looking ahead. The irises, which it lacks, are the model's."""
        scores, mesh = average_person()
        whole = self.rest_mesh.reshape(3, -1).copy()
        whole[:, : mesh.shape[1]] = mesh
        return Features(scores, whole.reshape(-1), 0.0, 0.0, 0.0)

    def read_controls(self, seen: Features, rest: Features) -> dict[str, float]:
        """What the face shows beyond ``rest``: the same person's at rest, or an average person's."""
        values = (
            (seen.scores - rest.scores) @ self.scores
            + (seen.mesh - rest.mesh) @ self.mesh
            + (seen.turn() - rest.turn()) @ self.turn
        )
        return dict(zip(self.controls, values.tolist(), strict=True))

    def read_pose(self, seen: Features) -> tuple[float, float, float]:
        """Yaw, pitch and roll, degrees, as the face model counts them."""
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
        """What the bundle's header says of it."""
        return {"correlations": {name: round(value, 3) for name, value in self.correlations.items()}}


def read_photo_map(folder: Path, entry: dict[str, Any], controls: tuple[str, ...]) -> PhotoMap:
    """The maps in ``folder``. Raises what damaged ones raise: KeyError, TypeError or ValueError."""
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
