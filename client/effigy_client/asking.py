# SPDX-License-Identifier: Apache-2.0
"""What a picture is asked with: the head's turn and the expression, as named parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from effigy_protocol.messages import Encoding, PassName, Purpose, Synthesize
from effigy_protocol.record import ANGLE_DIGITS, CONTROL_DIGITS


@dataclass(frozen=True, slots=True)
class Asking:
    """One pose and expression. Equal ones stand for one picture, whoever asks: preview, bake or render.

    Make one with ``of``, which rounds.
    """

    yaw: float  # degrees, as docs/protocol.md has them
    pitch: float
    controls: tuple[tuple[str, float], ...] = ()  # the ones that are not zero, by name

    @classmethod
    def of(cls, yaw: float, pitch: float, controls: Iterable[tuple[str, float]] = ()) -> Asking:
        """Rounds to what a float32 scene can hold, and leaves out the controls at rest."""
        rounded = ((name, round(value, CONTROL_DIGITS)) for name, value in controls)
        moved = tuple((name, value) for name, value in rounded if value != 0.0)
        return cls(round(yaw, ANGLE_DIGITS), round(pitch, ANGLE_DIGITS), moved)

    def named(self) -> dict[str, Any]:
        """JSON-ready values by name, for files and to compare."""
        return {"yaw": self.yaw, "pitch": self.pitch, "controls": dict(self.controls)}

    def request(
        self,
        identity: str,
        purpose: Purpose,
        encoding: Encoding = "rgba8",
        *,
        stream: int = 0,
        half: bool = False,
        passes: tuple[PassName, ...] = (),
    ) -> Synthesize:
        """The message that asks for this picture of ``identity`` (its key at the service), and ``passes`` beside it."""
        return Synthesize(identity, self.yaw, self.pitch, dict(self.controls), purpose, encoding, stream, half, passes)
