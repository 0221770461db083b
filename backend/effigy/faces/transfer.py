# SPDX-License-Identifier: Apache-2.0
"""From a face in a picture to what to ask of a face model: its pose and expression, all of it or a part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .face import FaceModel, Identity
from .photo_map import RELIABLE, Features, PhotoMap

Part = Literal["all", "expression", "turn", "mouth", "eyes", "brows"]
PARTS: tuple[Part, ...] = get_args(Part)


class UnreadableModelError(Exception):
    """A face model that has not learnt to read photographs; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What to ask for. Degrees, and controls as offsets from the identity's own expression.

    ``roll`` is the picture's: it is carried by where the picture is shown. ``left_out`` names controls that pictures
    tell too little of.
    """

    yaw: float
    pitch: float
    roll: float
    controls: dict[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def photo_map_of(model: FaceModel) -> PhotoMap:
    """What the model has learnt of photographs. Raises UnreadableModelError."""
    if model.photo_map is None:
        raise UnreadableModelError(
            f"{model.name} has not learnt to read photographs: run 'effigy bundle learn-photos' on it once"
        )
    return model.photo_map


def average_rest(model: FaceModel, picture: NDArray[np.uint8]) -> Features:
    """An average person at rest, such as is in a picture [H, W, 3] whose person's own rest is not known.

    A picture of the generator's own size is taken for one of its own: rendered faces are read otherwise than photos.
    Raises UnreadableModelError.
    """
    photos = photo_map_of(model)
    return photos.own_rest() if picture.shape[:2] == model.generator.resolution else photos.photographed_rest()


def transfer(
    model: FaceModel,  # what is asked
    identity: Identity,  # of whom
    seen: Features,  # what a picture shows
    rest: Features,  # what another of the same person at rest shows, or an average person
    *,
    relative: bool = False,
    part: Part = "all",
    strength: float = 1.0,  # 0: nothing of it, 1: as much as is seen
) -> Transfer:
    """What makes ``identity`` look as the face that was ``seen``.

    Its expression and turn become those of the picture, whatever its own are; or, where that is to be ``relative``,
    what differs between the picture and ``rest`` is added to its own. Raises UnreadableModelError.
    """
    photos = photo_map_of(model)
    yaw, pitch, roll = photos.read_pose(seen)
    shown = photos.read_controls(seen, rest)
    if relative:
        from_yaw, from_pitch, from_roll = photos.read_pose(rest)
        yaw, pitch = identity.pose.yaw + yaw - from_yaw, identity.pose.pitch + pitch - from_pitch
        roll -= from_roll
    else:
        own = model.own_expression(identity)
        shown = {name: value - own[name] for name, value in shown.items()}
    if part not in ("all", "turn"):
        yaw, pitch, roll = identity.pose.yaw, identity.pose.pitch, 0.0
    controls, left_out = {}, []
    for name, value in shown.items():
        control = model.controls[name]
        if part in ("all", "expression", control.group):
            if photos.correlations[name] < RELIABLE:
                left_out.append(name)
            else:
                controls[name] = min(max(strength * value, control.low), control.high)
    return Transfer(
        identity.pose.yaw + strength * (yaw - identity.pose.yaw),
        identity.pose.pitch + strength * (pitch - identity.pose.pitch),
        strength * roll,
        controls,
        tuple(left_out),
    )
