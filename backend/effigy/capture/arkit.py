# SPDX-License-Identifier: Apache-2.0
"""Readings as ARKit's blend shapes, in the packets of the Live Link Face app (effigy_protocol/arkit.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from effigy_protocol.arkit import LENGTH, NAMES, SHAPES, TIME, VALUES, VERSION, CapturedFrame, sources
from effigy_protocol.messages import Parameter

Array = NDArray[np.float64]

_PULL = 0.05  # how much a shape's own score counts beside what the controls say
_SAID = 0.02  # of a control's range: a smaller error does not count


class ShapeFinder:
    """Finds ARKit shapes from which importers reconstruct the given controls, as near as possible to MediaPipe's
    scores.
    """

    def __init__(self, controls: Sequence[Parameter]) -> None:
        """``controls``: those that are read reliably. Shapes from 0 to 1, and −1 to 0, are spread over their ranges."""
        self._ranges = {control.name: (control.low, control.high) for control in controls}
        rows = {control.name: sources(control.name, control.mirror, SHAPES) for control in controls}
        self._shapes = sorted({shape for terms in rows.values() for shape, _ in terms}, key=SHAPES.index)
        self._matrix = np.zeros((len(rows), len(self._shapes)))
        for row, terms in zip(self._matrix, rows.values(), strict=True):
            for shape, weight in terms:
                row[self._shapes.index(shape)] += weight
        self._whole = np.vstack([self._matrix, _PULL * np.eye(len(self._shapes))])

    def find(self, controls: Mapping[str, float], scores: Mapping[str, float]) -> dict[str, float]:
        """Maps the values of ``controls`` and MediaPipe's scores, by name, to every shape, 0 … 1."""
        found = {name: min(max(scores.get(name, 0.0), 0.0), 1.0) for name in SHAPES}
        if self._shapes:
            near = [_PULL * found[shape] for shape in self._shapes]
            solved = lsq_linear(
                self._whole, np.array([*self.spread(controls).values(), *near]), bounds=(0, 1), method="bvls"
            ).x
            found.update(zip(self._shapes, (float(value) for value in solved), strict=True))
        return found

    def spread(self, controls: Mapping[str, float]) -> dict[str, float]:
        """Maps the values of ``controls`` to −1 … 0 … 1 of their ranges."""
        return {name: _spread(controls[name], *ends) for name, ends in self._ranges.items()}

    def unsaid(self, moments: Sequence[CapturedFrame]) -> tuple[str, ...]:
        """Returns the controls of which the shapes of some moment say something else than its ``own``.

        One brow that rises alone is such: it takes its inner end along, which ARKit has for both brows together.
        """
        said = np.array([[moment.shapes[shape] for shape in self._shapes] for moment in moments]) @ self._matrix.T
        own = np.array([[moment.own[name] for name in self._ranges] for moment in moments])
        return tuple(
            name for name, apart in zip(self._ranges, np.abs(said - own).T, strict=True) if apart.max() > _SAID
        )


def _spread(value: float, low: float, high: float) -> float:
    """low … 0 … high → −1 … 0 … 1."""
    end = high if value >= 0 else -low
    return min(max(value / end, -1.0), 1.0) if end > 0 else 0.0


def packet(moment: CapturedFrame | None, frame: int, rate: float, subject: str) -> bytes:
    """Encodes one packet of the app, without values if no face is visible. ``rate``: frames per second."""
    names = [name.encode("ascii", errors="replace")[:64] for name in (f"effigy-{subject}", subject)]
    head = bytes([VERSION]) + b"".join(LENGTH.pack(len(name)) + name for name in names)
    head += TIME.pack(frame, 0.0, round(rate * 1000), 1000)
    if moment is None:
        return head
    return head + bytes([len(NAMES)]) + VALUES.pack(*moment.values())
