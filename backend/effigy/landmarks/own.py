# SPDX-License-Identifier: Apache-2.0
"""Registers Effigy's own detectors. Each is imported when it is opened, because their packages are large."""

from __future__ import annotations

from pathlib import Path

from .detector import Detector
from .embedded import EmbeddedDetector
from .registry import DetectorKind, DetectorOptions, register


def _embedded(options: DetectorOptions) -> Detector:
    return EmbeddedDetector(options.embedded, options.device)


def _photo(options: DetectorOptions) -> Detector:
    from .photo import PhotoDetector

    return PhotoDetector(options.device)


def _fan(options: DetectorOptions) -> Detector:
    from .fan import FanDetector

    return FanDetector(options.device)


def _mediapipe(options: DetectorOptions) -> Detector:
    from .mediapipe import MediapipeDetector

    return MediapipeDetector(Path(options.name))


register(DetectorKind("embedded", "embedded", None, _embedded))
register(DetectorKind("photo", "photo", "mediapipe478", _photo))
register(DetectorKind("face-alignment", "face-alignment", "ibug68", _fan))
register(DetectorKind(".task", "the path of a mediapipe .task file", "mediapipe478", _mediapipe))
