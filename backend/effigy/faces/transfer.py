# SPDX-License-Identifier: Apache-2.0
"""Transfers a face that was read in a picture to an identity: pose and expression, all or a part of them."""

from __future__ import annotations

from effigy_protocol.transfer import Part, Shown, Transfer
from effigy_protocol.transfer import transfer as carry_over

from .face import FaceModel
from .identity import Identity
from .photo_map import Features, PhotoMap
from .welcome import controls_of


class UnreadableModelError(Exception):
    """A face model that was not trained to read photographs; the message says what to do."""


def photo_map_of(model: FaceModel) -> PhotoMap:
    """Returns the model's map from photographs to its controls. Raises UnreadableModelError."""
    if model.photo_map is None:
        raise UnreadableModelError(
            f"{model.name} has not learnt to read photographs: run 'effigy bundle learn-photos' on it once"
        )
    return model.photo_map


def average_rest(model: FaceModel, *, painted: bool) -> Features:
    """Returns the features of an average person at rest, for a picture whose person's own rest is unknown.

    Faces ``painted`` by a generator are read differently from photographed ones, so each kind has its own average.
    Raises UnreadableModelError.
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
    """Computes the turn and controls that make ``identity`` look like the face that was ``seen``.

    By default the identity's turn and expression become those of the picture, whatever they were. If ``relative``, the
    difference between the picture and ``rest`` is added to the identity's own. Raises UnreadableModelError.
    """
    photos = photo_map_of(model)
    shown = Shown(*photos.read_pose(seen), photos.read_controls(seen, rest))
    own = Shown(identity.pose.yaw, identity.pose.pitch, 0.0, {} if relative else model.own_expression(identity))
    since = Shown(*photos.read_pose(rest), {}) if relative else None
    confidence = photos.correlations
    return carry_over(shown, own, controls_of(model), confidence, since=since, part=part, strength=strength)
