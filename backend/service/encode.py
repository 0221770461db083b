# SPDX-License-Identifier: Apache-2.0
"""Pictures and arrays as the bytes that travel."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from protocol.messages import Array, Buffer, Encoding

# Of zlib's nine: a 1024² picture takes 35 instead of 114 ms at the usual level 6, and 1.4 times the bytes.
_PNG_LEVEL = 1


def encode_picture(picture: NDArray[np.uint8] | NDArray[np.uint16], encoding: Encoding) -> Buffer:
    """A picture [H, W, 3] as RGBA bytes (top row first, opaque) or as a whole PNG or JPEG file.

    ``png16`` takes uint16, every other encoding uint8.
    """
    if encoding == "rgba8":
        rgba = np.empty((*picture.shape[:2], 4), dtype=np.uint8)
        for channel in range(3):  # one by one: a quarter of the time that all together take
            rgba[..., channel] = picture[..., channel]
        rgba[..., 3] = 255
        return rgba.data.cast("B")
    if encoding == "png16":
        return png16(picture.astype(np.uint16))
    if encoding == "png":
        return bytes(iio.imwrite("<bytes>", picture, extension=".png", compress_level=_PNG_LEVEL))
    return bytes(iio.imwrite("<bytes>", picture, extension=".jpg", quality=92))


def png16(picture: NDArray[np.uint16]) -> bytes:
    """A PNG file of 16 bits a channel, which neither imageio nor Pillow write in colour (PNG specification, 11)."""
    height, width, _ = picture.shape
    rows = picture.astype(">u2").view(np.uint8).reshape(height, width * 6).astype(np.int16)
    # Filter 1: each byte less the one a pixel (6 bytes) before it, which compresses smooth pictures well.
    rows[:, 6:] -= rows[:, :-6].copy()
    lines = np.concatenate([np.full((height, 1), 1, np.uint8), (rows & 255).astype(np.uint8)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), _PNG_LEVEL)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def encode_floats(values: NDArray[Any]) -> Array:
    return Array("f4", values.shape, np.ascontiguousarray(values, dtype="<f4").tobytes())


def encode_ints(values: NDArray[Any]) -> Array:
    return Array("i4", values.shape, np.ascontiguousarray(values, dtype="<i4").tobytes())
