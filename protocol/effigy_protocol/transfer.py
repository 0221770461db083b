# SPDX-License-Identifier: Apache-2.0
"""Transfers what a picture shows to another face: all of it or a part, at any strength.

The backend's commands and all clients use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from .messages import Parameter, PictureRead

Part = Literal["all", "expression", "turn", "mouth", "eyes", "brows"]
PARTS: tuple[Part, ...] = get_args(Part)
RELIABLE = 0.5
"""The least confidence of a control that is transferred."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A face's turn in degrees, and its controls relative to an average person's at rest."""

    yaw: float
    pitch: float
    roll: float
    controls: Mapping[str, float]

    @classmethod
    def of(cls, read: PictureRead) -> Shown:
        """Takes it from a PictureRead."""
        return cls(read.pose.yaw, read.pose.pitch, read.pose.roll, read.controls)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What to ask for: angles in degrees, and controls as offsets from the identity's own expression.

    ``roll`` is not part of a request, because the plate carries it. ``left_out`` names controls that are not
    transferred, because pictures do not show them reliably.
    """

    yaw: float
    pitch: float
    roll: float
    controls: dict[str, float]
    left_out: tuple[str, ...] = ()


def transfer(
    seen: Shown,
    own: Shown,  # of the identity that is to look like it, by itself
    controls: Iterable[Parameter],  # that there are
    confidence: Mapping[str, float],
    *,
    since: Shown | None = None,  # the person who was seen, at rest
    part: Part = "all",
    strength: float = 1.0,  # 0: nothing of it, 1: as much as is seen
) -> Transfer:
    """Computes what makes a face look like the one that was ``seen``.

    The face's turn and expression become those of the picture. With ``since``, the difference between the two pictures
    is added to the face's own instead.
    """
    if since is None:
        start, turn = own.controls, (seen.yaw - own.yaw, seen.pitch - own.pitch, seen.roll)
    else:
        start, turn = since.controls, (seen.yaw - since.yaw, seen.pitch - since.pitch, seen.roll - since.roll)
    turned = strength if part in ("all", "turn") else 0.0
    asked, left_out = {}, []
    for control in controls:
        name = control.name
        if name in seen.controls and part in ("all", "expression", control.group):
            if confidence.get(name, 0.0) < RELIABLE:
                left_out.append(name)
            else:
                value = strength * (seen.controls[name] - start.get(name, 0.0))
                asked[name] = min(max(value, control.low), control.high)
    yaw, pitch, roll = (turned * angle for angle in turn)
    return Transfer(own.yaw + yaw, own.pitch + pitch, roll, asked, tuple(left_out))
