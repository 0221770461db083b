# SPDX-License-Identifier: Apache-2.0
"""Values that messages of several subjects carry: arrays, cameras, parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import ProtocolError

ITEM_BYTES = {"f2": 2, "f4": 4, "i4": 4}  # of the array types
MAX_DIMENSIONS = 4
MAX_POSE = 1e6  # of a camera's scale, what it divides by, and its shift: a scene's numbers are float32

Buffer: TypeAlias = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Array:
    """A little-endian, C-ordered array. ``data`` has exactly the bytes that dtype and shape say."""

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

    Yaw > 0 turns the nose to the picture's right, pitch > 0 lifts it, roll > 0 is counter-clockwise. Scale is not zero:
    a plate is 1 / scale wide.
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
    """A number that a face is asked for by ``name``; ``low`` to ``high`` is the range of the data.

    Of an expression 0 is the identity's own, and low ≤ 0 ≤ high; "yaw" and "pitch" are degrees. In a mirror a face
    shows this parameter's value as that of ``mirror``: the same one, or the one of the other side. ``is_odd``: with its
    sign changed, as a turn's.
    """

    name: str
    group: str
    low: float
    high: float
    mirror: str
    is_odd: bool = False

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ProtocolError("bad-field", f"{self.name[:40]!r} cannot run from {self.low} to {self.high}")
