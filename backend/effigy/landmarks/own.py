# SPDX-License-Identifier: Apache-2.0
"""Registers Effigy's own detectors. Each is imported when it is opened, because their packages are large."""

from __future__ import annotations

from pathlib import Path

from .detector import Detector
from .embedded import EmbeddedDetector
from .registry import Asked, DetectorKind, register


def _embedded(asked: Asked) -> Detector:
    return EmbeddedDetector(asked.embedded, asked.device)


def _photo(asked: Asked) -> Detector:
    from .photo import PhotoDetector

    return PhotoDetector(asked.device)


def _fan(asked: Asked) -> Detector:
    from .fan import FanDetector

    return FanDetector(asked.device)


def _mediapipe(asked: Asked) -> Detector:
    from .mediapipe import MediapipeDetector

    return MediapipeDetector(Path(asked.name))


register(DetectorKind("embedded", "embedded", None, _embedded))
register(DetectorKind("photo", "photo", "mediapipe478", _photo))
register(DetectorKind("face-alignment", "face-alignment", "ibug68", _fan))
register(DetectorKind(".task", "the path of a mediapipe .task file", "mediapipe478", _mediapipe))
