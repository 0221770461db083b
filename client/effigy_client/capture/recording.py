# SPDX-License-Identifier: Apache-2.0
"""A keyed face as a recording of the Live Link Face app: the way back of ``retarget``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from effigy_protocol.arkit import SHAPES, Moment, csv_rows, sources

from ..pose import Angles
from .retarget import Array, Target

_ROUNDS = 300  # of looking for shapes: what is left of a control halves in one, or loses a tenth at the least
_SAID = 1e-3  # of a control's range, that may be missing


@dataclass(frozen=True, slots=True)
class Recording:
    """A table's text. ``beyond`` names the controls that shapes from 0 to 1 cannot say: they have columns of their own,
    which other programs do not know."""

    text: str
    beyond: tuple[str, ...]


def record(values: Mapping[str, Array], targets: Sequence[Target], angles: Sequence[Angles], rate: float) -> Recording:
    """N moments, ``rate`` a second, of controls [N] by name and the head as it is seen; absent controls are at rest."""
    terms = {target.name: sources(target.name, target.twin or target.name, SHAPES) for target in targets}
    wanted = {
        target.name: _gathered(np.asarray(values[target.name]), target) for target in targets if target.name in values
    }
    shapes = _shapes(wanted, terms, len(angles))
    said = {name: sum((weight * shapes[shape] for shape, weight in terms[name]), np.zeros(())) for name in wanted}
    beyond = tuple(name for name in wanted if np.abs(said[name] - wanted[name]).max(initial=0.0) > _SAID)
    moments = [
        Moment(
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
    """low … 0 … high → −1 … 0 … 1."""
    ends = np.where(values >= 0, target.high, -target.low)
    return np.clip(np.divide(values, ends, out=np.zeros_like(values), where=ends > 0), -1.0, 1.0)


def _shapes(wanted: Mapping[str, Array], terms: Mapping[str, list[tuple[str, float]]], count: int) -> dict[str, Array]:
    """Shapes [N] from 0 to 1, as small as may be, of which importers make the controls ``wanted``, as far as there are.

    By projecting in turn on what makes the controls, and on 0 … 1.
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
