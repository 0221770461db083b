# SPDX-License-Identifier: Apache-2.0
"""Writes an animated face as a recording of the Live Link Face app, the inverse of ``retarget``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from effigy_protocol.arkit import SHAPES, CapturedFrame, csv_rows, sources

from ..pose import Angles
from .retarget import Array, Target

_ROUNDS = 300  # of the search for shapes; a control's error falls by half in most, and by a tenth at least
_SAID = 1e-3  # of a control's range: a smaller error does not count


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as the text of a table."""

    text: str
    beyond: tuple[str, ...]  # controls that ARKit's shapes cannot express; they have columns of Effigy's own


def record(values: Mapping[str, Array], targets: Sequence[Target], angles: Sequence[Angles], rate: float) -> Recording:
    """Records N moments, ``rate`` per second, of controls [N] by name and the head's angles as the camera sees it.

    Missing controls are at rest.
    """
    terms = {target.name: sources(target.name, target.twin or target.name, SHAPES) for target in targets}
    wanted = {
        target.name: _gathered(np.asarray(values[target.name]), target) for target in targets if target.name in values
    }
    shapes = _shapes(wanted, terms, len(angles))
    said = {name: sum((weight * shapes[shape] for shape, weight in terms[name]), np.zeros(())) for name in wanted}
    beyond = tuple(name for name in wanted if np.abs(said[name] - wanted[name]).max(initial=0.0) > _SAID)
    moments = [
        CapturedFrame(
            row / rate,
            {shape: float(column[row]) for shape, column in shapes.items()},
            turn.yaw, turn.pitch, turn.roll,
            {name: float(wanted[name][row]) for name in beyond},
        )
        for row, turn in enumerate(angles)
    ]  # fmt: skip
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(csv_rows(moments, beyond))
    return Recording(out.getvalue(), beyond)


def _gathered(values: Array, target: Target) -> Array:
    """Maps a control's range low … 0 … high to −1 … 0 … 1."""
    ends = np.where(values >= 0, target.high, -target.low)
    return np.clip(np.divide(values, ends, out=np.zeros_like(values), where=ends > 0), -1.0, 1.0)


def _shapes(wanted: Mapping[str, Array], terms: Mapping[str, list[tuple[str, float]]], count: int) -> dict[str, Array]:
    """Returns ARKit's shapes [N] in [0, 1], by name, from which importers compute the controls ``wanted``.

    It finds small ones by alternating projections: on the shapes that give the controls, and on [0, 1].
    """
    names = [name for name in wanted if terms[name]]
    used = sorted({shape for name in names for shape, _ in terms[name]}, key=SHAPES.index)
    if not used:
        return {}
    weights = np.zeros((len(used), len(names)))
    for column, name in enumerate(names):
        for shape, weight in terms[name]:
            weights[used.index(shape), column] += weight
    back, aims = np.linalg.pinv(weights), np.stack([wanted[name] for name in names], axis=1)
    found = np.zeros((count, len(used)))
    for _ in range(_ROUNDS):
        found = np.clip(found + (aims - found @ weights) @ back, 0.0, 1.0)
    return dict(zip(used, found.T, strict=True))
