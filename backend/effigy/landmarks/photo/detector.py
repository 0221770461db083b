# SPDX-License-Identifier: Apache-2.0
"""The reader of photographs as a landmark detector, for fitting and judging face models."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .reader import POINTS, Face, PhotoReader
from .straightening import straightening
from .weights import FINGERPRINT

_BATCH = 8  # pictures at a time


class PhotoDetector:
    """Implements ``effigy.landmarks.Detector``: 478 points, NaN where no face is seen. Needs no download.

    The points of ``detect`` are straightened, because cameras are computed from them; those of ``faces`` are as found.
    """

    topology = "mediapipe478"
    fingerprint = FINGERPRINT

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Loads the networks. Raises DetectorError."""
        self._reader = PhotoReader(device)
        self._straightening = straightening()

    def detect(self, images: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [−1, 1] → points [N, 2, 478] in [0, 1] (x right, y down)."""
        points = np.full((len(images), 2, POINTS), np.nan, np.float32)
        for number, face in enumerate(self.faces(images)):
            if face is not None:
                straight = self._straightening.straightened(face.points)
                points[number] = straight.T / np.array(images.shape[:1:-1])[:, None]
        return torch.from_numpy(points)

    def faces(self, images: Tensor) -> list[Face | None]:
        """Returns the largest face of each picture, in pixels; None where there is none."""
        pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
        return [face for batch in torch.split(pixels, _BATCH) for face in self._reader.read_each(batch)]
