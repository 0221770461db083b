# SPDX-License-Identifier: Apache-2.0
"""Pictures and arrays as the bytes that travel."""

from __future__ import annotations

from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from protocol.messages import Array, Encoding


def encode_picture(picture: NDArray[np.uint8], encoding: Encoding) -> bytes:
    """A picture [H, W, 3] as RGBA bytes (top row first, opaque) or as a whole PNG or JPEG file."""
    if encoding == "rgba8":
        opaque = np.full((*picture.shape[:2], 1), 255, dtype=np.uint8)
        return np.concatenate([picture, opaque], axis=2).tobytes()
    if encoding == "png":
        return bytes(iio.imwrite("<bytes>", picture, extension=".png"))
    return bytes(iio.imwrite("<bytes>", picture, extension=".jpg", quality=92))


def encode_floats(values: NDArray[Any]) -> Array:
    return Array("f4", values.shape, np.ascontiguousarray(values, dtype="<f4").tobytes())


def encode_ints(values: NDArray[Any]) -> Array:
    return Array("i4", values.shape, np.ascontiguousarray(values, dtype="<i4").tobytes())
