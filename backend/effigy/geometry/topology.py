# SPDX-License-Identifier: Apache-2.0
"""Landmark sets ("topologies"): what each numbered landmark means, read from JSON files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FOLDER = Path(__file__).parent / "topologies"


@dataclass(frozen=True, slots=True)
class Upright:
    """The pitch-zero convention: the line from ``low`` to ``high`` (means of landmarks, in the face's
    plane of symmetry) leans back by ``lean`` degrees."""

    low: tuple[int, ...]
    high: tuple[int, ...]
    lean: float


Chain = tuple[tuple[int, ...], ...]  # groups of landmarks, whose means follow each other along an axis
Terms = tuple[tuple[int, int, float], ...]  # (landmark, axis, weight): Σ weight · X[axis, landmark]


@dataclass(frozen=True, slots=True)
class Action:
    """The template of a named expression: a measure that grows with it, of the face's two sides (``left`` is
    the face's own left, on the picture's right) or, where only ``right`` is given, of the whole."""

    group: str
    left: Terms
    right: Terms

    @property
    def has_sides(self) -> bool:
        return bool(self.left and self.right)


@dataclass(frozen=True, slots=True)
class Patch:
    """A place on the head whose colour is read: the mean of ``landmarks`` moved by ``offset`` (x, y, z) in the face
    frame, in outer-eye distances.

    It is fixed to the skull, or ``moves`` with the expression. ``held``, 0 … 1: how firmly edits keep its colour. Where
    an opening jaw covers and uncovers skin it must be low, or the edit would change skin tone to compensate.
    """

    landmarks: tuple[int, ...]
    offset: tuple[float, float, float]
    held: float
    moves: bool


@dataclass(frozen=True, slots=True)
class Topology:
    """A landmark set: symmetry, rigid points, how a frontal face lies, templates of expressions, patches of skin."""

    name: str
    revision: int  # raised where the same name comes to mean another pose or other actions
    count: int
    mirror: NDArray[np.int64]  # [L], the landmark on the other side, itself on the midline
    rigid: tuple[int, ...]  # points that expressions hardly move: they define the pose
    unit: tuple[int, int]  # the two landmarks whose distance in the mean is 1, picture-left first
    contour: tuple[tuple[int, ...], tuple[int, ...]]  # of the picture's left and right half, that a turn hides
    near: tuple[int, ...]  # points nearer to the viewer than ``far`` in a frontal face
    far: tuple[int, ...]
    downwards: tuple[Chain, ...]  # in a frontal face, each group is below the one before
    rightwards: tuple[Chain, ...]  # to its right, in the picture
    upright: Upright
    triangles: NDArray[np.int64]  # [T, 3], counter-clockwise seen from outside
    actions: dict[str, Action]
    patches: dict[str, Patch]  # none where the landmarks are not a face's


def load_topology(name: str) -> Topology:
    """Returns the landmark set called ``name``. Raises ValueError that lists the known ones."""
    path = _FOLDER / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in _FOLDER.glob("*.json")))
        raise ValueError(f"unknown landmark topology {name!r}; known are {known}")
    data = json.loads(path.read_text(encoding="utf-8"))
    mirror = np.arange(data["count"])
    for left, right in data["pairs"]:
        mirror[left], mirror[right] = right, left
    return Topology(
        name=name,
        revision=data.get("revision", 1),
        count=data["count"],
        mirror=mirror,
        rigid=tuple(data["rigid"]),
        unit=(data["unit"][0], data["unit"][1]),
        contour=(tuple(data["contour"][0]), tuple(data["contour"][1])),
        near=tuple(data["near"]),
        far=tuple(data["far"]),
        downwards=tuple(_chain(chain) for chain in data["order"]["downwards"]),
        rightwards=tuple(_chain(chain) for chain in data["order"]["rightwards"]),
        upright=Upright(tuple(data["upright"]["low"]), tuple(data["upright"]["high"]), data["upright"]["lean"]),
        triangles=np.array(data["triangles"], dtype=np.int64),
        actions={name: _action(action) for name, action in data["actions"].items()},
        patches={name: _patch(patch) for name, patch in data["patches"].items()},
    )


def topology_of_count(count: int) -> Topology:
    """Returns the landmark set with ``count`` landmarks. Raises ValueError that lists the known ones."""
    known = [load_topology(path.stem) for path in sorted(_FOLDER.glob("*.json"))]
    for topology in known:
        if topology.count == count:
            return topology
    listed = ", ".join(f"{topology.name} ({topology.count})" for topology in known)
    raise ValueError(f"no known landmark set has {count} landmarks: known are {listed}")


def _chain(data: list[list[int]]) -> Chain:
    return tuple(tuple(group) for group in data)


def _patch(data: dict[str, Any]) -> Patch:
    x, y, z = data["offset"]
    return Patch(tuple(data["landmarks"]), (x, y, z), data["held"], data["moves"])


def _action(data: dict[str, Any]) -> Action:
    left, right, both = (
        tuple((int(landmark), int(axis), float(weight)) for landmark, axis, weight in data[side])
        for side in ("left", "right", "both")
    )
    return Action(data["group"], left, right or both)
