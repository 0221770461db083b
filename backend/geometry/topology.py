# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a landmark set mean, as data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Topology:
    """A landmark set: symmetry, rigid points and the templates of named expressions."""

    name: str
    count: int
    mirror: NDArray[np.int64]  # [L], the landmark on the other side, itself on the midline
    rigid: tuple[int, ...]  # points that expressions hardly move: they define the pose
    unit: tuple[int, int]  # the two landmarks whose distance in the mean is 1, picture-left first
    near: tuple[int, ...]  # points nearer to the viewer than ``far`` in a frontal face
    far: tuple[int, ...]
    upright: Upright
    triangles: NDArray[np.int64]  # [T, 3], counter-clockwise seen from outside
    actions: dict[str, dict[str, list[list[float]]]]  # see expressions.py


def load_topology(name: str) -> Topology:
    """The landmark set called ``name``; raises ValueError that lists the known ones."""
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
        count=data["count"],
        mirror=mirror,
        rigid=tuple(data["rigid"]),
        unit=(data["unit"][0], data["unit"][1]),
        near=tuple(data["near"]),
        far=tuple(data["far"]),
        upright=Upright(tuple(data["upright"]["low"]), tuple(data["upright"]["high"]), data["upright"]["lean"]),
        triangles=np.array(data["triangles"], dtype=np.int64),
        actions=data["actions"],
    )
