# SPDX-License-Identifier: Apache-2.0
"""The parameters of a picture: the head's turn, the expression, and how it is painted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from effigy_protocol.messages import HEAD_UNIT, Encoding, MatteName, PassName, Purpose, Synthesize
from effigy_protocol.record import ANGLE_DIGITS, CONTROL_DIGITS

from .pixels import SURFACE_PASSES


@dataclass(frozen=True, slots=True)
class PictureParameters:
    """The parameters of one identity's picture. Equal parameters give equal pictures.

    Make them with ``of``, which rounds.
    """

    yaw: float  # degrees, as docs/protocol.md has them
    pitch: float
    controls: tuple[tuple[str, float], ...] = ()  # the ones that are not zero, by name
    matte: MatteName = "none"
    lit: bool = False  # with the maps for relighting beside the picture: see pixels.Surface
    keep: float = 1.0  # how firmly looks are held

    @classmethod
    def of(
        cls,
        yaw: float,
        pitch: float,
        controls: Iterable[tuple[str, float]] = (),
        matte: MatteName = "none",
        *,
        lit: bool = False,
        keep: float = 1.0,
    ) -> PictureParameters:
        """Rounds the values to what a float32 scene can hold, and leaves out controls that are 0."""
        rounded = ((name, round(value, CONTROL_DIGITS)) for name, value in controls)
        moved = tuple((name, value) for name, value in rounded if value != 0.0)
        turn = round(yaw, ANGLE_DIGITS), round(pitch, ANGLE_DIGITS)
        return cls(*turn, moved, matte, lit, round(keep, CONTROL_DIGITS))

    def named(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON. As in a record, defaults are left out."""
        values: dict[str, Any] = {"yaw": self.yaw, "pitch": self.pitch, "controls": dict(self.controls)}
        values |= {"matte": self.matte} if self.matte != "none" else {}
        values |= {"lit": True} if self.lit else {}
        return values | ({"keep": self.keep} if self.keep != 1.0 else {})

    def request(
        self,
        identity: str,
        purpose: Purpose,
        encoding: Encoding = "rgba8",
        *,
        stream: int = 0,
        half: bool = False,
        passes: tuple[PassName, ...] = (),
        metres: tuple[float, float] = (HEAD_UNIT, 0.0),
    ) -> Synthesize:
        """Returns the message that asks for this picture of ``identity``, the service's key, and for ``passes``.

        Without ``passes``, a lit picture comes with those that relighting needs. ``metres`` are the length of a head
        unit and the distance from the camera to the head, for the depth in an exr file.
        """
        controls, passes = dict(self.controls), passes or (SURFACE_PASSES if self.lit else ())
        return Synthesize(
            identity,
            self.yaw,
            self.pitch,
            controls,
            purpose,
            encoding,
            stream,
            half,
            passes,
            self.matte,
            *metres,
            self.keep,
        )
