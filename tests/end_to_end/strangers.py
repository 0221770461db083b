# SPDX-License-Identifier: Apache-2.0
"""Who speaks ZeroMQ's own protocol (ZMTP 3.1, its RFC 37) byte by byte, and so keeps none of its rules."""

from __future__ import annotations

import socket

_MORE, _LONG, _COMMAND = 1, 2, 4
PART = 2**20 // 2


def greeting(mechanism: str, *, is_server: bool = False) -> bytes:
    return b"\xff" + bytes(8) + b"\x7f\x03\x01" + mechanism.encode().ljust(20, b"\0") + bytes([is_server]) + bytes(31)


def ready(kind: str) -> bytes:
    """The NULL mechanism's handshake, as a socket of this kind."""
    body = b"\5READY" + b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind.encode()
    return bytes([_COMMAND, len(body)]) + body


def taken_of_a_message_without_end(other: socket.socket, most: int) -> int:
    """Sends part after part, never the last; the bytes taken before the connection is closed, or ``most``."""
    part = bytes([_MORE | _LONG]) + PART.to_bytes(8, "big") + bytes(PART)
    taken = 0
    try:
        while taken < most:
            other.sendall(part)
            taken += PART
    except OSError:  # closed
        pass
    return taken
