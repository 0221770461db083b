# SPDX-License-Identifier: Apache-2.0
"""Pictures as OpenEXR files that compositors read: linear Rec.709, colours times alpha, passes as named layers."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.messages import PassName
from effigy_protocol.record import KEYWORD, Record

from ..faces.pictures import Pictures
from ..relighting import Light

_FAR = 1e10  # metres: Blender's depth where nothing is
_LAYERS: dict[PassName, tuple[str, str]] = {  # the layer of each pass and its channels, named as Blender's are
    "normal": ("Normal", "XYZ"),
    "depth": ("Depth", "Z"),
    "albedo": ("Albedo", "RGB"),
    "light": ("Light", "RGB"),
}
_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)  # chromaticities of red, green, blue and white


def exr(pictures: Pictures, light: Light | None, record: Record) -> bytes:
    """Encodes one picture, which ``record`` describes, as OpenEXR: half floats, and depth in single precision.

    Normals are in the picture's camera frame. Depth is metres from the camera's plane: distance − unit · d. ``light``
    is for albedo and light alone. Raises DetectorError.
    """
    import OpenEXR  # 5 MB that few need

    linear = pictures.linear(record.matte)
    colour, alpha = linear[..., :3], linear[..., 3:]
    associated = np.concatenate([colour * alpha if alpha.size else colour, alpha], axis=2)
    channels: dict[str, NDArray[Any]] = {"RGBA"[: linear.shape[2]]: np.ascontiguousarray(associated, np.float16)}
    for name, values in pictures.passes(record.passes, light, record.matte, is_straight=True).items():
        layer, letters = _LAYERS[name]
        if name == "depth":
            unit, distance = record.metres
            values = np.where(pictures.is_empty(record.matte)[..., None], _FAR, distance - unit * values.astype(float))
        kept = values.astype(np.float32 if name == "depth" else np.float16)
        channels |= {f"{layer}.{letter}": kept[..., n].copy() for n, letter in enumerate(letters)}
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": _REC709,
        KEYWORD: record.as_text(),
    }
    file = io.BytesIO()
    OpenEXR.File(header, channels).write(file)
    return file.getvalue()
