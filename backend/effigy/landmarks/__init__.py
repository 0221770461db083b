# SPDX-License-Identifier: Apache-2.0
"""Landmark detectors: pictures in, points out. They know nothing of generators or geometry."""

from . import own as own  # which registers what Effigy brings
from .detector import Detector, DetectorError
from .embedded import EmbeddedDetector
from .registry import load_detector

__all__ = ["Detector", "DetectorError", "EmbeddedDetector", "load_detector"]
