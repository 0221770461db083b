# SPDX-License-Identifier: Apache-2.0
"""The target of an edit as a change of q, limited to the range of the data; and the result of an edit.

The limits, the change and the weights of its errors are plain arithmetic; ``editing.inverse`` finds the latent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from effigy_protocol.messages import Pose
from effigy_protocol.record import SAME_POSE

from ..editing import Parameters
from ..editing.parameters import ALPHA, POSE, ROTATION, SCALE, SHIFT
from ..geometry import ShapeModel, rotation
from ..geometry.camera import Array
from ..geometry.expressions import Expression
from .attributes import Attribute
from .identity import Identity

# The errors that cost as much as moving the latent by one standard deviation: see editing.inverse.
_ROTATION_TOLERANCE = 0.01  # radians
_SHAPE_TOLERANCE = 0.03  # root-mean-square landmark shift, in outer-eye distances
# Of a control's full strength. The slope of a lid that is open is mostly noise: with 0.03, edits changed the person
# rather than miss a lid a little. With 0.2, a mouth would pucker less while the jaw opens.
_EYE_TOLERANCE, _CONTROL_TOLERANCE = 0.2, 0.1
# The plate carries size and shift exactly, so the latent edit only keeps them from drifting far.
_SCALE_TOLERANCE = 0.05  # of log scale
_SHIFT_TOLERANCE = 0.03  # of the picture's width
_ROUNDING = 1e-6  # a slider's end is the range's, in float32
_GIVE = 0.1  # of a range: how far beyond it a value can get


@dataclass(frozen=True, slots=True)
class Edit:
    """The result of an edit: its latent, the camera that it shows, and how far it missed the target.

    ``clamped`` names the parameters that exceeded the data's range; ``residual`` is the limited target minus the
    result: degrees of "yaw" and "pitch", and units of each control that was not at rest.
    """

    ws: Tensor  # [num_ws, w_dim]
    pose: Pose
    clamped: tuple[str, ...]
    residual: dict[str, float]


@dataclass(frozen=True, slots=True)
class EditTarget:
    """The target of an edit, within the range of the data: yaw and pitch in degrees, offsets of controls, attributes.

    ``clamped`` names what was limited.
    """

    yaw: float
    pitch: float
    controls: dict[str, float]  # in the model's order, because sums round by their order
    clamped: tuple[str, ...]
    attributes: dict[str, float] = field(default_factory=dict)  # likewise; those that are not 0

    @classmethod
    def within(
        cls,
        pose_range: tuple[float, float],
        known: Mapping[str, Expression],
        rest: Pose,
        yaw: float,
        pitch: float,
        controls: Mapping[str, float],
        attributes: Mapping[str, Attribute],
        relaxed: Mapping[str, float],
    ) -> EditTarget:
        """Limits the request to the largest |yaw| and |pitch| of ``pose_range`` and to the ranges of ``controls``.

        These may name ``attributes`` too. ``rest``, the identity's own pose, is always within, and so is the average
        expression, at ``relaxed``. Raises KeyError for a name that is neither a ``known`` control's nor an attribute's.
        """
        if unknown := controls.keys() - known.keys() - attributes.keys():
            raise KeyError(min(unknown))
        clamped: list[str] = []
        yaw = limit("yaw", yaw, -pose_range[0], pose_range[0], rest.yaw, clamped)
        pitch = limit("pitch", pitch, -pose_range[1], pose_range[1], rest.pitch, clamped)
        limited = {
            name: limit(name, controls[name], control.low, control.high, relaxed[name], clamped)
            for name, control in known.items()
            if name in controls
        }
        looks = {
            name: limit(name, controls[name], attribute.low, attribute.high, 0.0, clamped)
            for name, attribute in attributes.items()
            if controls.get(name)
        }
        return cls(yaw, pitch, limited, tuple(clamped), looks)

    def less(self, drift: Array, names: Collection[str]) -> EditTarget:
        """Returns the target minus ``drift`` [2 + C], the drift of yaw, pitch and the controls ``names``."""
        yaw, pitch, *moved = drift.tolist()
        controls = {name: self.controls.get(name, 0.0) - by for name, by in zip(names, moved, strict=True)}
        return replace(self, yaw=self.yaw - yaw, pitch=self.pitch - pitch, controls=controls)

    def change(self, identity: Identity, known: Mapping[str, Expression]) -> Array:
        """Returns q* − φ(w0) [Q]: the turn at the identity's own roll, and Σ value / share · direction of the controls.

        Scale and shift stay the identity's own. What is within SAME_POSE of its own turn changes nothing.
        """
        change, rest = np.zeros(len(identity.q)), identity.pose
        if abs(self.yaw - rest.yaw) > SAME_POSE or abs(self.pitch - rest.pitch) > SAME_POSE:
            target = Parameters.from_vector(identity.q[None])
            target.camera.R[:] = rotation(*(np.radians([a]) for a in (self.yaw, self.pitch, rest.roll)))
            change[ROTATION] = target.to_vector()[0, ROTATION] - identity.q[ROTATION]
        for name, value in self.controls.items():
            change[ALPHA] += value / _share(identity, known[name], value) * known[name].direction
        return change

    def residual(
        self, identity: Identity, pose: Pose, moved: Array, known: Mapping[str, Expression]
    ) -> dict[str, float]:
        """Returns asked minus reached, by name: ``pose`` was reached, and q moved by ``moved`` [Q] from φ(w0)."""
        turns = {"yaw": self.yaw - pose.yaw, "pitch": self.pitch - pose.pitch}
        return turns | {
            n: v - _share(identity, known[n], v) * float(known[n].reading @ moved[ALPHA])
            for n, v in self.controls.items()
            if v
        }


def _share(identity: Identity, control: Expression, value: float) -> float:
    """Returns the share of what φ reads in an edit of ``control`` to ``value`` that pictures of ``identity`` show."""
    above, below = identity.shown.get(control.name, (1.0, 1.0))
    return control.shown * (below if value < 0 else above)


def limit(name: str, value: float, low: float, high: float, rest: float, clamped: list[str]) -> float:
    """Returns ``value`` if it lies within [low, high], widened to hold ``rest``; else limits it and notes ``name``.

    The limit is soft: beyond an end e the result is e + g · tanh((value − e) / g), with g a tenth of the range, so an
    animation that leaves the range slows down instead of stopping at once.
    """
    low, high = min(low, rest), max(high, rest)
    inside = min(max(value, low), high)
    if abs(inside - value) <= _ROUNDING:
        return value
    clamped.append(name)
    give = _GIVE * (high - low) or 1e-9
    return inside + give * math.tanh((value - inside) / give)


def error_weights(shape: ShapeModel, controls: Sequence[Expression], *, is_firm: bool) -> Array:
    """Returns W [POSE + K + C, POSE + K], so that |W e|² is the cost of an error e of q.

    Its first rows weigh pose and every coefficient α_k, each by the inverse of its tolerance; the last C rows weigh
    what each control reads in the error. A control's direction is never quite what the generator can do, so its
    reading counts by itself, while the rest of the face may follow as it does in the generator's own faces.
    ``is_firm``: controls hold each other as they do from bundle format 6 on.
    """
    size = np.sqrt((shape.basis**2).sum(axis=1).mean(axis=1))  # root-mean-square landmark shift per unit of α
    tolerance = np.empty(POSE + len(size))
    tolerance[ROTATION] = _ROTATION_TOLERANCE
    tolerance[SCALE] = _SCALE_TOLERANCE
    tolerance[SHIFT] = _SHIFT_TOLERANCE
    tolerance[ALPHA] = _SHAPE_TOLERANCE / np.maximum(size, 1e-6)
    readings = np.zeros((len(controls), len(tolerance)))
    for row, control in zip(readings, controls, strict=True):
        row[ALPHA] = control.reading / (_CONTROL_TOLERANCE if is_firm and control.group != "eyes" else _EYE_TOLERANCE)
    return np.concatenate([np.diag(1 / tolerance), readings])
