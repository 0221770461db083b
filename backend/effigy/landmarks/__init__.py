# SPDX-License-Identifier: Apache-2.0
"""Landmark detectors: pictures in, points out. Knows nothing of generators or geometry."""

from .detector import Detector, DetectorError
from .embedded import EmbeddedDetector
from .load import load_detector

__all__ = ["Detector", "DetectorError", "EmbeddedDetector", "load_detector"]
