# SPDX-License-Identifier: Apache-2.0
"""Reads text attributes in the header of an OpenEXR file (*OpenEXR File Layout*)."""

from __future__ import annotations

import struct

_MAGIC, _VERSION = b"\x76\x2f\x31\x01", 4  # bytes


def read_text(exr: bytes, name: str) -> str:
    """Returns the text attribute ``name``; "" if there is none, or ``exr``, a file's first bytes, is no OpenEXR."""
    place = len(_MAGIC) + _VERSION if exr.startswith(_MAGIC) else len(exr)
    while place < len(exr) and exr[place]:  # a header ends with an empty name
        key, _, rest = exr[place : place + 512].partition(b"\0")
        kind, _, rest = rest.partition(b"\0")
        place += len(key) + len(kind) + 2
        if len(rest) < 4:
            break
        (size,) = struct.unpack_from("<I", rest)
        if key == name.encode() and kind == b"string":
            return exr[place + 4 : place + 4 + size].decode("utf-8", "replace")
        place += 4 + size
    return ""
