# SPDX-License-Identifier: Apache-2.0
"""Asks for a picture of an open identity, and answers with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import ProtocolError
from .values import MAX_POSE, Array, Buffer, Pose, later

HEAD_UNIT = 0.09  # metres: about what adults' outer eye corners are apart

Purpose = Literal["preview", "final"]
Encoding = Literal["rgba8", "png", "png16", "jpeg", "exr"]
MatteName = Literal["none", "head"]
PassName = Literal["normal", "depth", "albedo", "light"]
PASS_CHANNELS: dict[PassName, int] = {"normal": 3, "depth": 1, "albedo": 3, "light": 3}  # of every pass


@dataclass(frozen=True, slots=True)
class Synthesize:
    """Asks for one picture of an open identity.

    ``controls`` are offsets from the identity's own expression, and attributes; a missing one is 0. Of the previews of
    one client and ``stream`` only the newest is painted; finals are painted in order, none is lost.
    ``half`` lets a preview be half as wide and high, where the generator can do that for less.
    ``passes`` names what is wanted beside the picture, each once; Welcome says which the model paints.
    ``matte``: the picture as it was painted, or the head alone, cut out with straight alpha.
    ``keep`` (0 … 1): how firmly looks are held where pose and expression change.
    In an exr file depth is in metres from the camera, ``distance`` being that of the head's origin and ``unit`` that of
    a head unit.
    """

    identity: str
    yaw: float
    pitch: float
    controls: dict[str, float]
    purpose: Purpose = "preview"
    encoding: Encoding = "rgba8"
    stream: int = 0
    half: bool = False
    passes: tuple[PassName, ...] = ()
    matte: MatteName = "none"
    unit: float = HEAD_UNIT
    distance: float = 0.0
    keep: float = later(1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.keep <= 1:
            raise ProtocolError("bad-field", f"keep {self.keep:.3g} is out of range: it runs from 0 to 1")
        if len(set(self.passes)) < len(self.passes):
            raise ProtocolError("bad-field", f"a pass is asked for twice: {', '.join(self.passes)}")
        if not 1 / MAX_POSE <= self.unit <= MAX_POSE or not abs(self.distance) <= MAX_POSE:
            raise ProtocolError(
                "bad-field", f"no head has a unit of {self.unit:.3g} m, {self.distance:.3g} m away: in metres, please"
            )


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancels waiting Synthesize requests by id, or all of this client's if ``ids`` is empty. Answered by Done."""

    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Timings:
    """How long a frame took inside the service, in milliseconds of wall time."""

    queue_ms: float  # waiting
    inverse_ms: float
    synthesis_ms: float
    encode_ms: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture. ``rgba8`` is height × width × 4 bytes, top row first; others are whole files.

    Alpha is straight (in exr colours are times it), and 255 unless a matte was asked for; PNG and exr have it only
    then. ``passes`` has what Synthesize named (those of an exr are in the file), f2 [height, width, channels], top row
    first: "normal" (x right, y up, z to the viewer, in the picture's camera
    frame, −1 … 1) and "depth" (towards the viewer from the head's origin, in head units), both times alpha where the
    model paints alpha and them; "light" (linear Rec.709: the smooth light that is on the picture, about 1) and "albedo"
    (the picture divided by it).
    ``exact`` says that all this is what a final would have; a preview may come from a cheaper way. ``half``: it has
    half the width and height of the model's pictures.
    ``pose`` is the camera that the latent reached, ``clamped`` names what was asked beyond the data's range,
    ``residual`` says how much of what was asked, so limited, is missing: degrees of "yaw" and "pitch",
    units of controls.
    """

    identity: str
    purpose: Purpose
    height: int
    width: int
    encoding: Encoding
    data: Buffer
    exact: bool
    pose: Pose
    clamped: tuple[str, ...]
    residual: dict[str, float]
    timings: Timings
    half: bool = False
    passes: dict[PassName, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given, wanted = memoryview(self.data).nbytes, 4 * self.height * self.width
        if self.height <= 0 or self.width <= 0 or (self.encoding == "rgba8" and given != wanted):
            raise ProtocolError("bad-field", f"a frame of {self.width} × {self.height} cannot have {given} bytes")
        for name, array in self.passes.items():
            if (array.dtype, array.shape) != ("f2", (self.height, self.width, PASS_CHANNELS.get(name))):
                size = f"{self.width} × {self.height}"
                raise ProtocolError("bad-field", f"a frame of {size} has no such pass {name[:40]!r}")
