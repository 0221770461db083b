# SPDX-License-Identifier: Apache-2.0
"""Films and cameras as sequences of pictures, and ARKit captures read from them."""

from effigy_protocol.arkit import CapturedFrame, csv_rows

from .arkit import packet
from .cameras import Camera, list_cameras
from .ffmpeg import SourceError
from .smoothing import OneEuro, smooth_both_ways
from .sources import Pixels, Source, open_camera, open_film

__all__ = [
    "Camera",
    "CapturedFrame",
    "OneEuro",
    "Pixels",
    "Source",
    "SourceError",
    "csv_rows",
    "list_cameras",
    "open_camera",
    "open_film",
    "packet",
    "smooth_both_ways",
]
