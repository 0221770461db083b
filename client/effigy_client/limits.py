# SPDX-License-Identifier: Apache-2.0
"""What a picture shows less of than was asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from effigy_protocol.messages import Frame

_SHARE = 0.25  # of what was asked of a control, from which its absence is told
_LEAST = 0.1  # asked of a control: of less, a reader's noise is a large share


class Limits(NamedTuple):
    """The names of what a picture shows less of than was asked."""

    clamped: tuple[str, ...] = ()  # parameters that exceed the model's range
    missed: tuple[str, ...] = ()  # controls within it that the picture nevertheless does not reach

    @classmethod
    def of(cls, frame: Frame, controls: Iterable[tuple[str, float]]) -> Limits:
        """Returns what ``frame`` shows less of; ``controls`` were asked for, by name."""
        missed = (
            name
            for name, asked in controls
            if abs(asked) >= _LEAST and name not in frame.clamped and frame.residual.get(name, 0.0) / asked > _SHARE
        )
        return cls(frame.clamped, tuple(missed))
