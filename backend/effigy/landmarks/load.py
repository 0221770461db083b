# SPDX-License-Identifier: Apache-2.0
"""The detector that a name means."""

from __future__ import annotations

from pathlib import Path

import torch

from .detector import Detector, DetectorError
from .embedded import EmbeddedDetector


def load_detector(name: str, embedded: Path, device: str = "auto") -> Detector:
    """``embedded`` (weights in that file), ``photo``, ``face-alignment``, or the path of a mediapipe .task file.

    Raises DetectorError that says what is missing and where to put it.
    """
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if name == "embedded":
        return EmbeddedDetector(embedded, where)
    if name == "photo":
        from .photo import PhotoDetector

        return PhotoDetector(where)
    if name == "face-alignment":
        from .fan import FanDetector

        return FanDetector(where)
    if name.endswith(".task"):
        from .mediapipe import MediapipeDetector

        return MediapipeDetector(Path(name))
    raise DetectorError(
        f"unknown detector {name!r}: use embedded, photo, face-alignment, or the path of a mediapipe .task file"
    )
