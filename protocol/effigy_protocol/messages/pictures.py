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

# How a painted normal of length l leans to the viewer for relighting: by at least 0 and by lean - rate · l, which are
# (lean, rate). A cut-out head's edge has the head's own colours, a whole picture's those of what is behind it, too.
LEANS: dict[MatteName, tuple[float, float]] = {"head": (1.0, 2.0), "none": (3.0, 4.0)}


@dataclass(frozen=True, slots=True)
class Synthesize:
    """Asks for one picture of an open identity. Answered by Frame.

    Of the previews of one client and ``stream`` only the newest is painted. Finals are painted in order; none is lost.
    """

    identity: str  # of Identity
    yaw: float  # degrees
    pitch: float
    controls: dict[str, float]  # attributes, and offsets from the identity's own expression; a missing one is 0
    purpose: Purpose = "preview"
    encoding: Encoding = "rgba8"
    stream: int = 0  # separates the previews of several faces
    half: bool = False  # whether a preview may have half the width and height, where that is faster
    passes: tuple[PassName, ...] = ()  # wanted beside the picture, each once; see Frame
    matte: MatteName = "none"  # the picture as painted, or the head alone, cut out with straight alpha
    unit: float = HEAD_UNIT  # metres of a head unit, for the depth in an exr file
    distance: float = 0.0  # metres from the camera to the head's origin, for the same
    keep: float = later(1.0)  # 0 … 1: how firmly looks are held where pose and expression change

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
    """One painted picture, the answer to Synthesize.

    Alpha is straight, and 255 unless a matte was asked for; PNG and exr files have alpha only then, and in exr files
    colours are multiplied by it.

    The passes are f2 [height, width, channels], top row first:

    - "normal": x right, y up, z to the viewer, in the picture's camera frame, −1 … 1.
    - "depth": towards the viewer from the head's origin, in head units.
    - "light": the smooth light on the face, linear Rec.709, about 1.
    - "albedo": the picture divided by that light, linear Rec.709.

    Normals and depth are multiplied by alpha where the model paints both them and alpha.
    """

    identity: str
    purpose: Purpose
    height: int  # pixels
    width: int
    encoding: Encoding
    data: Buffer  # rgba8: height × width × 4 bytes, top row first; other encodings: a whole file
    exact: bool  # whether a final would be the same; a preview may be computed by a faster approximation
    pose: Pose  # the camera that the latent reached
    clamped: tuple[str, ...]  # parameters that exceeded the data's range, and were limited to it
    residual: dict[str, float]  # asked (so limited) minus reached: degrees of "yaw" and "pitch", units of controls
    timings: Timings
    half: bool = False  # whether it has half the width and height of the model's pictures
    passes: dict[PassName, Array] = field(default_factory=dict)  # those Synthesize named; those of exr are in its file

    def __post_init__(self) -> None:
        given, wanted = memoryview(self.data).nbytes, 4 * self.height * self.width
        if self.height <= 0 or self.width <= 0 or (self.encoding == "rgba8" and given != wanted):
            raise ProtocolError("bad-field", f"a frame of {self.width} × {self.height} cannot have {given} bytes")
        for name, array in self.passes.items():
            if (array.dtype, array.shape) != ("f2", (self.height, self.width, PASS_CHANNELS.get(name))):
                size = f"{self.width} × {self.height}"
                raise ProtocolError("bad-field", f"a frame of {size} has no such pass {name[:40]!r}")
