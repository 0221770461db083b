# SPDX-License-Identifier: Apache-2.0
"""From a face in a picture to what to ask of a face model: its pose and expression, all of it or a part."""

from __future__ import annotations

from effigy_protocol.transfer import Part, Shown, Transfer
from effigy_protocol.transfer import transfer as carry_over

from .face import FaceModel, Identity
from .photo_map import Features, PhotoMap
from .welcome import controls_of


class UnreadableModelError(Exception):
    """A face model that has not learnt to read photographs; the message says what to do."""


def photo_map_of(model: FaceModel) -> PhotoMap:
    """What the model has learnt of photographs. Raises UnreadableModelError."""
    if model.photo_map is None:
        raise UnreadableModelError(
            f"{model.name} has not learnt to read photographs: run 'effigy bundle learn-photos' on it once"
        )
    return model.photo_map


def average_rest(model: FaceModel, *, painted: bool) -> Features:
    """An average person at rest, such as is in a picture whose person's own rest is not known.

    Faces that a generator has ``painted`` are read otherwise than photographed ones. Raises UnreadableModelError.
    """
    photos = photo_map_of(model)
    return photos.own_rest() if painted else photos.photographed_rest()


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
    shown = Shown(*photos.read_pose(seen), photos.read_controls(seen, rest))
    own = Shown(identity.pose.yaw, identity.pose.pitch, 0.0, {} if relative else model.own_expression(identity))
    since = Shown(*photos.read_pose(rest), {}) if relative else None
    confidence = photos.correlations
    return carry_over(shown, own, controls_of(model), confidence, since=since, part=part, strength=strength)
