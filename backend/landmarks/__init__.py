# SPDX-License-Identifier: Apache-2.0
"""Landmark detectors: pictures in, points out. Knows nothing of generators or geometry."""

from .detector import Detector
from .embedded import EmbeddedDetector

__all__ = ["Detector", "EmbeddedDetector"]
