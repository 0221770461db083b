# SPDX-License-Identifier: Apache-2.0
"""What a painted picture holds: bits of its channels, its matte, and layers besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from effigy_protocol.messages import HEAD_UNIT, PASS_CHANNELS, Encoding, MatteName, PassName

from .errors import PaintingError

Depth = Literal[8, 16]  # bits of a channel


@dataclass(frozen=True, slots=True)
class Layers:
    """What an OpenEXR file holds beside the picture."""

    passes: tuple[PassName, ...] = ()
    unit: float = HEAD_UNIT  # metres of a head unit, for depth
    distance: float = 0.0  # metres from the camera to the head's origin, for depth


@dataclass(frozen=True, slots=True)
class Format:
    """How a picture is written: as PNG with ``depth`` bits a channel, or, with ``layers``, as OpenEXR.

    Raises PaintingError for values that are none of these.
    """

    depth: Depth = 8
    matte: MatteName = "none"
    layers: Layers | None = None

    def __post_init__(self) -> None:
        if self.depth not in (8, 16):
            raise PaintingError(f"a picture has 8 or 16 bits a channel, not {self.depth}")
        if self.matte not in get_args(MatteName):
            raise PaintingError(f"no matte is called {self.matte!r}: choose {' or '.join(get_args(MatteName))}")
        passes = () if self.layers is None else self.layers.passes
        if not {*passes} <= PASS_CHANNELS.keys():
            raise PaintingError(f"layers are {', '.join(PASS_CHANNELS)}, not {', '.join(map(str, passes))[:200]}")

    @property
    def encoding(self) -> Encoding:
        """The protocol's name of it."""
        if self.layers is not None:
            return "exr"
        return "png16" if self.depth == 16 else "png"
