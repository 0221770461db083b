# SPDX-License-Identifier: Apache-2.0
"""Values that messages of several subjects carry: arrays, cameras, parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..errors import ProtocolError

ITEM_BYTES = {"f2": 2, "f4": 4, "i4": 4}  # of the array types
MAX_DIMENSIONS = 4
MAX_POSE = 1e6  # largest scale, 1 / scale and shift of a camera: a scene's numbers are float32

Buffer: TypeAlias = bytes | memoryview
LATER = "later"  # in the metadata of a field


def later(default: Any) -> Any:
    """Returns a dataclass field that was added to the protocol later: it may be missing, and then has its default.

    It is not sent while it has its default. So sides with and without it work together until somebody uses it.
    """
    return field(default=default, metadata={LATER: True})


@dataclass(frozen=True, slots=True)
class Array:
    """An array in C order and little-endian; ``data`` has exactly as many bytes as dtype and shape require."""

    dtype: Literal["f2", "f4", "i4"]
    shape: tuple[int, ...]
    data: Buffer

    def __post_init__(self) -> None:
        if len(self.shape) > MAX_DIMENSIONS or not all(0 <= size < 2**31 for size in self.shape):
            raise ProtocolError("bad-field", f"an array has at most {MAX_DIMENSIONS} sizes, each from 0 to 2^31")
        wanted = math.prod(self.shape) * ITEM_BYTES[self.dtype]
        if (given := memoryview(self.data).nbytes) != wanted:
            raise ProtocolError("bad-field", f"an array of shape {self.shape} has {wanted} bytes, not {given}")


@dataclass(frozen=True, slots=True)
class Pose:
    """A weak-perspective camera: u = scale·(R X)_x + x, v = −scale·(R X)_y + y, R = Rz(roll) Rx(−pitch) Ry(yaw).

    Angles are degrees: yaw > 0 turns the nose to the picture's right, pitch > 0 lifts it, roll > 0 is
    counter-clockwise. ``scale`` is in picture widths per head unit, and greater than 0, because a plate is 1 / scale
    wide.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    x: float
    y: float

    def __post_init__(self) -> None:
        if not 1 / MAX_POSE <= self.scale <= MAX_POSE or not max(abs(self.x), abs(self.y)) <= MAX_POSE:
            raise ProtocolError(
                "bad-field", f"no camera has the scale {self.scale:.3g} and the shift ({self.x:.3g}, {self.y:.3g})"
            )


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a picture: "yaw" or "pitch" in degrees, or a control, of which 0 is the identity's own expression.

    The mirror image shows this parameter's value as that of the parameter ``mirror``, which is the other side's or the
    same one.
    """

    name: str
    group: str
    low: float  # the range of the data; for a control low ≤ 0 ≤ high
    high: float
    mirror: str
    is_odd: bool = False  # whether the value changes its sign in the mirror image, as yaw does

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ProtocolError("bad-field", f"{self.name[:40]!r} cannot run from {self.low} to {self.high}")
