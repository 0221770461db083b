# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream of the Live Link Face app: one UDP packet for each captured moment.

A packet, numbers with their high byte first: version (one byte, 6); the device's id and the subject's name, each
as its length (int32) and so many bytes; frame, its fraction and the rate (int32, float32, two int32); how many
values follow (one byte), and the values (float32), in the order of ARKIT. One without values saw no face.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct

import numpy as np

from .capture import Capture, arkit_capture

PORT = 11111  # the app's own

# fmt: off
ARKIT = (
    "eyeblinkleft", "eyelookdownleft", "eyelookinleft", "eyelookoutleft", "eyelookupleft", "eyesquintleft",
    "eyewideleft", "eyeblinkright", "eyelookdownright", "eyelookinright", "eyelookoutright", "eyelookupright",
    "eyesquintright", "eyewideright", "jawforward", "jawleft", "jawright", "jawopen", "mouthclose", "mouthfunnel",
    "mouthpucker", "mouthleft", "mouthright", "mouthsmileleft", "mouthsmileright", "mouthfrownleft",
    "mouthfrownright", "mouthdimpleleft", "mouthdimpleright", "mouthstretchleft", "mouthstretchright",
    "mouthrolllower", "mouthrollupper", "mouthshruglower", "mouthshrugupper", "mouthpressleft", "mouthpressright",
    "mouthlowerdownleft", "mouthlowerdownright", "mouthupperupleft", "mouthupperupright", "browdownleft",
    "browdownright", "browinnerup", "browouterupleft", "browouterupright", "cheekpuff", "cheeksquintleft",
    "cheeksquintright", "nosesneerleft", "nosesneerright", "tongueout", "headyaw", "headpitch", "headroll",
    "lefteyeyaw", "lefteyepitch", "lefteyeroll", "righteyeyaw", "righteyepitch", "righteyeroll",
)
# fmt: on

_VERSION = 6
_LENGTH = struct.Struct(">i")
_TIME = struct.Struct(">ifii")
_VALUES = struct.Struct(f">{len(ARKIT)}f")
_PACKET = 2048  # bytes: no packet of the app is half as long
_AT_ONCE = 256  # packets looked at in one go: nobody can keep Blender busy with more


def decode(packet: bytes) -> Capture | None:
    """The moment in a packet; None when it saw no face. Raises ValueError for what is no such packet."""
    try:
        if packet[0] != _VERSION:
            raise ValueError(f"version {packet[0]} of Live Link Face is unknown")
        place = 1
        for _ in ("device", "subject"):
            (length,) = _LENGTH.unpack_from(packet, place)
            if not 0 <= length <= len(packet):
                raise ValueError(f"a name of {length} bytes")
            place += _LENGTH.size + length
        place += _TIME.size
        if place >= len(packet) or packet[place] == 0:
            return None
        if packet[place] != len(ARKIT):
            raise ValueError(f"{packet[place]} values instead of {len(ARKIT)}")
        values = _VALUES.unpack_from(packet, place + 1)
    except (struct.error, IndexError):
        raise ValueError(f"a packet of {len(packet)} bytes is cut short") from None
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a value is no number")
    channels = {name: np.array([value]) for name, value in zip(ARKIT, values, strict=True)}
    return arkit_capture(np.zeros(1), channels)


class Listener:
    """A UDP socket that never waits. Close it when done."""

    def __init__(self, address: str, port: int) -> None:
        """Raises OSError when nobody can listen there."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind((address, port))
        except OSError:
            self._socket.close()
            raise
        self.moments = 0  # received so far

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def newest(self) -> Capture | None:
        """The last moment that came since the last call; what is no packet of the app is passed over."""
        found = None
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(_AT_ONCE):
                packet = self._socket.recv(_PACKET)
                with contextlib.suppress(ValueError):
                    if (moment := decode(packet)) is not None:
                        found = moment
                        self.moments += 1
        return found

    def close(self) -> None:
        self._socket.close()
