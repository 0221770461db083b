# SPDX-License-Identifier: Apache-2.0
"""Reads from a person's bytes, without PyTorch, where in the picture their face was found."""

from __future__ import annotations

import math
import struct

from .files import parse_json
from .record import is_person

_HEADER = 1 << 20  # bytes
Corner = tuple[float, float]


def quad_of(latent: bytes) -> tuple[Corner, Corner, Corner, Corner] | None:
    """Returns the corners, in a photograph's widths and heights, of the square that became the model's picture.

    They run clockwise from the one that became the upper left. None for a person who was not made from one picture. The
    bytes are a safetensors file: the length of a JSON header, that header, and numbers, little-endian.
    """
    if not is_person(latent):
        return None
    length = int.from_bytes(latent[:8], "little")
    try:
        entry = parse_json(latent[8 : 8 + min(length, _HEADER)].decode())["quad"]
        start, end = entry["data_offsets"]
        if (entry["dtype"], entry["shape"], end - start) != ("F64", [4, 2], 64) or start < 0:
            return None
        values = struct.unpack_from("<8d", latent, 8 + length + start)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, struct.error):
        return None
    if not all(map(math.isfinite, values)):
        return None
    x0, y0, x1, y1, x2, y2, x3, y3 = values
    return (x0, y0), (x1, y1), (x2, y2), (x3, y3)
