# SPDX-License-Identifier: Apache-2.0
"""Drift: how much colours change in edits that should only change the expression."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from effigy_protocol.arkit import split_side
from effigy_protocol.files import read_json

from ..editing.patches import patch_colours, patch_names, patch_points
from ..geometry import ShapeModel, Topology
from ..geometry.camera import Array, Camera
from ..geometry.expressions import mirror_twins
from ..geometry.shape import Views

TURN = (25.0, -8.0)  # yaw and pitch of a turned face, degrees
# Colours are read beside the patches that edits hold, so that holding those is not enough; in outer-eye distances.
_ASIDE = ((0.08, 0.06), (-0.08, -0.06))


@dataclass(frozen=True, slots=True)
class Shading:
    """The true change of colours by each control at full strength: moved skin is lit differently, a jaw covers the
    neck.

    For a frontal face and for one turned by ``TURN``: control → place → change as a share of the place's colour.
    Missing entries are 0.
    """

    frontal: Mapping[str, Mapping[str, float]]
    turned: Mapping[str, Mapping[str, float]]

    def to_file(self, path: Path) -> None:
        """Writes JSON. Raises OSError."""
        path.write_text(json.dumps({"frontal": self.frontal, "turned": self.turned}, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def from_file(path: Path) -> Shading:
        """Reads JSON. Raises OSError, ValueError or KeyError."""
        found = read_json(path)
        return Shading(found["frontal"], found["turned"])


NO_SHADING = Shading({}, {})  # where the true changes are unknown


def full_strength(ends: Mapping[str, float], topology: Topology) -> dict[str, dict[str, float]]:
    """Returns the edits to measure, by name: every control at its end, and the two sides of one together (eyeBlink)."""
    asked = {name: {name: end} for name, end in ends.items()}
    for name, twin in mirror_twins(topology, ends).items():
        if twin.name != name:
            both, _ = split_side(name, twin.name)
            asked.setdefault(both, {})[name] = ends[name]
    return asked


def changes(pictures: Tensor, views: Views, topology: Topology, shape: ShapeModel) -> tuple[Array, Array]:
    """Reads the colours of P places in the first of ``pictures`` [1 + n, 3, H, W], and how they change in the others.

    Returns [P, 3] and [n, P, 3], in the pictures' units. All pictures are read with the camera of the first of
    ``views``, and with their own expression.
    """
    count = len(pictures)
    R, s, t = (np.repeat(values[:1], count, axis=0) for values in (views.camera.R, views.camera.s, views.camera.t))
    camera = Camera(R, s, t)
    looks = [
        patch_colours(pictures, patch_points(topology.patches, shape, views.alpha, camera, aside), s)
        for aside in _ASIDE
    ]
    colours = np.mean(looks, axis=0)
    return colours[0], colours[1:] - colours[0]


def drift(change: Array, base: Array, own: Array) -> Array:
    """Returns the part of a ``change`` [..., P, 3] of the colours ``base`` [P, 3] that should not be there, [..., P].

    ``own`` [..., P] is the true change as a share of ``base``. A change between 0 and the true one is no drift.
    """
    true = own[..., None] * base
    beyond = change - np.clip(change, np.minimum(true, 0), np.maximum(true, 0))
    return np.asarray(np.abs(beyond).mean(axis=-1))


def shares(shading: Mapping[str, Mapping[str, float]], asked: Iterable[str], topology: Topology) -> Array:
    """Returns the shares [n, P] that ``shading`` has for each of the names ``asked`` and each place."""
    places = patch_names(topology.patches)
    return np.array([[shading.get(name, {}).get(place, 0.0) for place in places] for name in asked])
