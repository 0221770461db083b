# SPDX-License-Identifier: Apache-2.0
"""The inverses side by side: the same edit by each, with the requested landmarks and those in the picture."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..editing import METHODS, InverseOptions, Method
from ..editing.parameters import ALPHA, Parameters
from ..faces import Edit, FaceModel, Identity
from ..fitting.evaluation import seen
from ..geometry import angles, infer, project, rotation
from ..geometry.camera import Array, Camera
from ..landmarks import Detector


@dataclass(frozen=True, slots=True)
class Read:
    """What a picture shows: ``points`` [2, L] in [0, 1], the turn in degrees.

    ``error``: the mean distance from the requested points, in percent of the outer-eye distance. Size and
    shift do not count, because the plate carries them.
    """

    points: Array
    yaw: float
    pitch: float
    error: float


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of one method: its picture [H, W, 3 or 4], landmarks requested and read in it, and its time."""

    method: Method
    picture: NDArray[np.uint8]
    asked: Array  # [2, L] in [0, 1]
    read: Read | None  # None where no detector finds this model's landmarks, or it sees no face
    milliseconds: float


def compare(
    model: FaceModel,
    detector: Detector | None,
    person: Identity,
    yaw: float,
    pitch: float,
    controls: dict[str, float],
) -> list[Compared]:
    """Makes the same edit by every method, and paints and reads each."""
    wanted = asked_points(model, person, yaw, pitch, controls)
    compared = []
    for method in METHODS:
        started = time.perf_counter()
        edit = model.edit(person, yaw, pitch, controls, InverseOptions(method))
        milliseconds = 1e3 * (time.perf_counter() - started)
        picture = model.paint(edit.ws[None])[0]
        compared.append(Compared(method, picture, wanted, read(model, detector, edit, wanted), milliseconds))
    return compared


def asked_points(model: FaceModel, person: Identity, yaw: float, pitch: float, controls: dict[str, float]) -> Array:
    """Returns where an edit's landmarks should be, [2, L]: the face moved and turned, at its own size and place."""
    alpha = person.q[ALPHA] + sum(
        (value * model.controls[name].direction for name, value in controls.items() if name in model.controls),
        np.zeros(len(model.shape.basis)),
    )
    own = Parameters.from_vector(person.q[None]).camera
    turned = rotation(*(np.radians([angle]) for angle in (yaw, pitch, person.pose.roll)))
    return project(model.shape.shape(alpha[None]), Camera(turned, own.s, own.t))[0]


def read(model: FaceModel, detector: Detector | None, edit: Edit, wanted: Array) -> Read | None:
    """Paints ``edit`` and reads its landmarks; ``wanted`` [2, L] are those that were asked for."""
    if detector is None:
        return None
    points = detector.detect(seen(model, edit.ws[None])).cpu().double().numpy()
    if not np.isfinite(points).all():
        return None
    views = infer(model.shape, points)
    yaw, pitch, _ = (float(np.degrees(angle[0])) for angle in angles(views.camera.R))
    apart = points[0] - wanted
    apart -= apart.mean(axis=1, keepdims=True)
    return Read(points[0], yaw, pitch, float(100 * np.linalg.norm(apart, axis=0).mean() / views.camera.s[0]))
