# SPDX-License-Identifier: Apache-2.0
"""478 landmarks by Google's MediaPipe, with the user's own ``face_landmarker.task`` file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from effigy_protocol.files import file_problem

from .detector import DetectorError

_TASK = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
LANDMARKS = 478


class MediapipeDetector:
    """Implements ``effigy.landmarks.Detector``; points are NaN where it sees no face."""

    topology = "mediapipe478"

    def __init__(self, task: Path) -> None:
        """Loads MediaPipe and the file ``task``; raises DetectorError."""
        if problem := file_problem(task):
            raise DetectorError(f"{problem}: download {_TASK} and give its path")
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise DetectorError(f"the package mediapipe is not here ({error}): pip install mediapipe") from None
        self._mediapipe: Any = mediapipe
        options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(task)), num_faces=1)
        try:
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError, OSError) as error:
            raise DetectorError(f"{task} is not a face landmarker ({str(error)[:200]}): download {_TASK}") from None
        self.fingerprint = "mediapipe-" + hashlib.sha256(task.read_bytes()).hexdigest()[:16]

    def detect(self, images: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [−1, 1] → points [N, 2, 478] in [0, 1] (x right, y down)."""
        pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return torch.from_numpy(np.stack([self._one(np.ascontiguousarray(picture)) for picture in pixels]))

    def _one(self, picture: np.ndarray) -> np.ndarray:
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=picture)
        faces = self._landmarker.detect(image).face_landmarks
        if not faces:
            return np.full((2, LANDMARKS), np.nan, dtype=np.float32)
        return np.array([[point.x for point in faces[0]], [point.y for point in faces[0]]], dtype=np.float32)
