# SPDX-License-Identifier: Apache-2.0
"""Reads from a person's bytes, without PyTorch, where their face was found and how far their pictures turn."""

from __future__ import annotations

import math
import struct

from .files import parse_json
from .record import is_person

_HEADER = 1 << 20  # bytes
Corner = tuple[float, float]


def quad_of(latent: bytes) -> tuple[Corner, Corner, Corner, Corner] | None:
    """Returns the corners, in a photograph's widths and heights, of the square that became the model's picture.

    They run clockwise from the one that became the upper left. None for a person who was not made from one picture.
    """
    values = _numbers(latent, "quad", [4, 2])
    if values is None:
        return None
    x0, y0, x1, y1, x2, y2, x3, y3 = values
    return (x0, y0), (x1, y1), (x2, y2), (x3, y3)


def turns_of(latent: bytes) -> float:
    """Returns how many degrees the pictures of an identity turn for each that its model reads; 1 if not measured."""
    values = _numbers(latent, "turns", [1])
    return 1.0 if values is None or values[0] <= 0 else values[0]


def _numbers(latent: bytes, name: str, shape: list[int]) -> tuple[float, ...] | None:
    """Returns the numbers of a person's tensor ``name``; None where it is missing, or not float64 of this ``shape``.

    The bytes are a safetensors file: the length of a JSON header, that header, and numbers, little-endian.
    """
    if not is_person(latent):
        return None
    length, count = int.from_bytes(latent[:8], "little"), math.prod(shape)
    try:
        entry = parse_json(latent[8 : 8 + min(length, _HEADER)].decode())[name]
        start, end = entry["data_offsets"]
        if (entry["dtype"], entry["shape"], end - start) != ("F64", shape, 8 * count) or start < 0:
            return None
        values = struct.unpack_from(f"<{count}d", latent, 8 + length + start)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, struct.error):
        return None
    return values if all(map(math.isfinite, values)) else None
