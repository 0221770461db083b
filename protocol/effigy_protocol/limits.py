# SPDX-License-Identifier: Apache-2.0
"""How large a message may be. Checked on the sizes alone, before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ProtocolError

MAX_ITEMS = 256  # entries of any list or map inside a header
MAX_TEXT = 8192  # bytes of any string inside a header


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest message that is accepted."""

    header_bytes: int
    frames: int  # payload frames behind the header
    frame_bytes: int  # of each

    def check_header(self, sizes: list[int]) -> None:
        """Raises ProtocolError unless the header may be read, the first of frames of these ``sizes``."""
        if not sizes:
            raise ProtocolError("malformed", "an empty message: the header frame is missing")
        if sizes[0] > self.header_bytes:
            raise ProtocolError("too-large", f"header of {sizes[0]} bytes; the limit is {self.header_bytes}")

    def check_payload(self, payload: list[int]) -> None:
        """Raises ProtocolError unless frames of these sizes may follow a header."""
        if len(payload) > self.frames:
            raise ProtocolError("too-large", f"{len(payload)} payload frames; the limit is {self.frames}")
        for number, size in enumerate(payload):
            if size > self.frame_bytes:
                raise ProtocolError(
                    "too-large", f"payload frame {number} has {size} bytes; the limit is {self.frame_bytes}"
                )


CURVE_BYTES = 33
"""Bytes that encryption adds to a frame (RFC 26/CURVEZMQ, MESSAGE command); ZeroMQ's MAXMSGSIZE includes them."""

REQUEST_LIMITS = Limits(header_bytes=64 * 1024, frames=32, frame_bytes=1024 * 1024)
"""A request carries at most a photograph of 32 MiB, cut into frames.

Frames are small, because a process without the connection file's keys can make the service keep one frame for each
connection that it opens.
"""

MAX_FILE_BYTES = REQUEST_LIMITS.frames * REQUEST_LIMITS.frame_bytes
"""The largest file that a request can carry, in pieces."""

REPLY_LIMITS = Limits(header_bytes=256 * 1024, frames=8, frame_bytes=64 * 1024 * 1024)
"""A reply carries at most a picture of 4096 × 4096 RGBA (3344 × 3344 with normals), or a model's shape and controls."""
