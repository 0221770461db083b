# SPDX-License-Identifier: Apache-2.0
"""Encodes pictures as raw bytes, PNG or JPEG."""

from __future__ import annotations

import struct
import zlib

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from effigy_protocol.messages import Buffer, Encoding

# Differences of rows hardly repeat: looking for repeats costs zlib time and saves few bytes (docs/benchmarks.md).
_PNG_LEVEL, _PNG_STRATEGY = 1, zlib.Z_RLE
_COLOUR_TYPES = {3: 2, 4: 6}  # by channels: true colour, without and with alpha


def encode_picture(picture: NDArray[np.uint8] | NDArray[np.uint16], encoding: Encoding) -> Buffer:
    """Encodes a picture [H, W, 3 or 4] as RGBA bytes, top row first and opaque without alpha, or as a PNG or JPEG file.

    A PNG has the bits of the picture, uint8 or uint16; others have eight.
    """
    if encoding == "rgba8":
        rgba = np.empty((*picture.shape[:2], 4), dtype=np.uint8)
        rgba[..., 3] = 255
        for channel in range(picture.shape[2]):  # one by one: a quarter of the time that all together take
            rgba[..., channel] = picture[..., channel]
        return rgba.data.cast("B")
    if encoding in ("png", "png16"):
        return png(picture)
    return bytes(iio.imwrite("<bytes>", picture[..., :3], extension=".jpg", quality=92))


def png(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Encodes a picture as a PNG file of 8 or 16 bits per channel (PNG specification, 11).

    Pillow, and imageio with it, cannot write colours of 16 bits, and take two and a half times as long for 8
    (docs/benchmarks.md), because they try five filters for every row.
    """
    height, width, channels = picture.shape
    rows = np.ascontiguousarray(picture, picture.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    lines = np.empty((height, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = 2  # the filter "up": each byte less the one above it, which compresses smooth pictures well
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    packer = zlib.compressobj(_PNG_LEVEL, strategy=_PNG_STRATEGY)
    header = struct.pack(">IIBBBBB", width, height, 8 * picture.itemsize, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", packer.compress(lines.data) + packer.flush()), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
