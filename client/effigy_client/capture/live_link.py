# SPDX-License-Identifier: Apache-2.0
"""Receives the stream of the Live Link Face app: a UDP packet for each moment (see effigy_protocol/arkit.py)."""

from __future__ import annotations

import math
import socket
import struct
from dataclasses import replace

import numpy as np

from effigy_protocol.arkit import LENGTH, NAMES, TIME, VALUES, VERSION

from .tables import Capture, arkit_capture

PORT = 11111  # the app's default

ARKIT = tuple(name.lower() for name in NAMES)  # the names of channels

_PACKET = 2048  # bytes, twice the app's longest packet
_AT_ONCE = 1024  # packets per call, more than a socket holds


def decode(packet: bytes) -> Capture | None:
    """Decodes a packet to a capture of one moment; None if it saw no face. Raises ValueError for anything else."""
    try:
        if packet[0] != VERSION:
            raise ValueError(f"packets of version {packet[0]}, where {VERSION} is known")
        place = 1
        for _ in ("device", "subject"):
            (length,) = LENGTH.unpack_from(packet, place)
            if not 0 <= length <= len(packet):
                raise ValueError(f"a name of {length} bytes")
            place += LENGTH.size + length
        if len(packet) == place:
            return None
        TIME.unpack_from(packet, place)
        place += TIME.size
        if len(packet) == place or packet[place] == 0:
            return None
        if packet[place] != len(ARKIT):
            raise ValueError(f"{packet[place]} values instead of {len(ARKIT)}")
        values = VALUES.unpack_from(packet, place + 1)
    except (struct.error, IndexError):
        raise ValueError(f"a packet of {len(packet)} bytes that is cut short") from None
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a value that is no number")
    channels = {name: np.array([value]) for name, value in zip(ARKIT, values, strict=True)}
    return arkit_capture(np.zeros(1), channels)


class Listener:
    """A UDP socket that never blocks. Close it when done."""

    def __init__(self, address: str, port: int) -> None:
        """Listens on ``address`` and ``port``. Raises OSError if that is not possible."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind((address, port))
        except OSError:
            self._socket.close()
            raise
        self._sender: tuple[str, int] | None = None
        self._heard: set[str] = set()  # channels that have been other than zero
        self.packets = 0  # of the app, received so far
        self.refusal = ""  # what is wrong with the last packet, if it is none of the app

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def newest(self) -> Capture | None:
        """Returns the last moment that came since the last call; None if none did, or no face was seen.

        Only the first phone that sends is listened to. Channels that have always been zero count as ``silent``.
        """
        waiting = []
        for _ in range(_AT_ONCE):
            try:
                packet, sender = self._socket.recvfrom(_PACKET)
            except BlockingIOError:
                break
            except OSError:  # on Windows a packet that is too long, or a port that was closed on the other side
                continue
            if self._sender in (None, sender):
                waiting.append((packet, sender))
        for packet, sender in reversed(waiting):
            try:
                moment = decode(packet)
            except ValueError as error:
                self.refusal = str(error)
                continue
            self._sender, self.refusal = sender, ""
            self.packets += len(waiting)
            if moment is None:
                return None
            self._heard |= moment.channels.keys() - moment.silent
            return replace(moment, silent=moment.silent - self._heard)
        return None

    def close(self) -> None:
        self._socket.close()
