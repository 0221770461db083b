# SPDX-License-Identifier: Apache-2.0
"""PNG files (PNG specification, third edition): plain ones, and texts inside them that say what they were made from."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_QUICK = 1  # of zlib's levels
_FIRST = len(_SIGNATURE) + 25  # behind the signature and IHDR


def write_rgb(data: bytes | memoryview, width: int, height: int, bits: int = 8) -> bytes:
    """Encodes a picture, height × width × 3 values with the top row first, as a PNG file. Raises ValueError.

    ``bits`` of a value: 8, or 16 with the high byte first.
    """
    row = 3 * width * bits // 8
    if min(width, height) < 1 or len(data) != row * height:
        raise ValueError(f"a picture of {width} × {height} has {row * height} bytes, not {len(data)}")
    lines = b"".join(b"\0" + bytes(data[place : place + row]) for place in range(0, len(data), row))
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, _QUICK)) + _chunk(b"IEND", b"")


def annotate(png: bytes | memoryview, texts: dict[str, str]) -> bytes:
    """Returns the PNG file with a text chunk for each of ``texts``: keyword (Latin-1, at most 79 characters) → text.
    Raises ValueError for bytes that are no PNG file.
    """
    raw = bytes(png)
    if not raw.startswith(_SIGNATURE):
        raise ValueError("this is not a PNG file")
    chunks = b"".join(
        _chunk(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")) for key, text in texts.items()
    )
    return raw[:_FIRST] + chunks + raw[_FIRST:]


def read_texts(png: bytes) -> dict[str, str]:
    """Reads the text chunks that ``annotate`` wrote; {} if it is no PNG file or is cut short."""
    texts: dict[str, str] = {}
    place = len(_SIGNATURE) if png.startswith(_SIGNATURE) else len(png)
    while place + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        if kind in (b"IDAT", b"IEND"):
            break
        if kind == b"iTXt":
            key, _, rest = png[place + 8 : place + 8 + length].partition(b"\0")
            texts[key.decode("latin-1")] = rest[4:].decode("utf-8", "replace")
        place += 12 + length
    return texts


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
