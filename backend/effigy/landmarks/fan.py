# SPDX-License-Identifier: Apache-2.0
"""68 landmarks by the ``face-alignment`` package, for photographic faces that are aligned as in FFHQ.

Bulat and Tzimiropoulos, *How far are we from solving the 2D & 3D Face Alignment problem?*, ICCV 2017.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from effigy_protocol.files import digest, file_problem

from ..tensor_files import check_finite
from .detector import DetectorError

# The box of a face in pictures that are aligned as in FFHQ, in picture widths: left, top, right, bottom.
_ALIGNED_BOX = (0.19, 0.25, 0.81, 0.92)
_WEIGHTS = {  # file → where the package fetches it
    "2DFAN4-11f355bf06.pth.tar": "https://www.adrianbulat.com/downloads/python-fan/2DFAN4-11f355bf06.pth.tar",
    "s3fd-619a316812.pth": "https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth",
}
_BATCH = 8


class FanDetector:
    """Implements ``effigy.landmarks.Detector``."""

    topology = "ibug68"

    def __init__(self, device: str = "cpu") -> None:
        """Loads the package and its weights, fetching them on first use; raises DetectorError."""
        try:
            from face_alignment import FaceAlignment, LandmarksType
        except ImportError as error:
            raise DetectorError(
                f"the package face-alignment is not here ({error}): pip install face-alignment"
            ) from None
        for name in _WEIGHTS:
            if (weights_folder() / name).exists() and (problem := file_problem(weights_folder() / name)):
                raise DetectorError(f"{problem}, which face-alignment would read: remove it")
        try:
            # Compiling it costs a minute and saves seconds.
            self._network: Any = FaceAlignment(
                LandmarksType.TWO_D, device=device, compile=False, flip_input=False, max_batch_size=_BATCH
            )
            check_finite(self._network.face_alignment_net.state_dict())
        except Exception as error:  # noqa: BLE001 broken bytes may lead the package anywhere
            raise DetectorError(_how_to_get_weights(error)) from None
        self.fingerprint = "face-alignment-" + digest(weights_folder() / "2DFAN4-11f355bf06.pth.tar")[:16]

    @torch.inference_mode()
    def detect(self, images: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [−1, 1] → points [N, 2, 68] in [0, 1] (x right, y down)."""
        N, _, height, width = images.shape
        pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        # The package reads faces of one picture in batches, so all pictures are put onto one, with gaps between them.
        gap = height // 2
        sheet = np.zeros((gap + N * (height + gap), width, 3), np.uint8)
        starts = gap + np.arange(N) * (height + gap)
        for start, picture in zip(starts, pixels, strict=True):
            sheet[start : start + height] = picture
        box = np.array([*np.array(_ALIGNED_BOX) * [width, height, width, height], 1.0])
        boxes = [box + np.array([0, start, 0, start, 0]) for start in starts]
        found = np.stack(self._network.get_landmarks_from_image(sheet, detected_faces=boxes))[:, :68]
        points = (found - np.stack([np.zeros(N), starts], axis=1)[:, None]) / [width, height]
        return torch.from_numpy(points).float().transpose(1, 2)


def weights_folder() -> Path:
    """Returns the folder in which PyTorch keeps downloaded weights."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _how_to_get_weights(error: Exception) -> str:
    folder = weights_folder()
    missing = [name for name in _WEIGHTS if not (folder / name).is_file()]
    if not missing:
        return f"face-alignment's weights in {folder} are damaged ({str(error)[:200]}): remove them"
    sources = ", ".join(_WEIGHTS[name] for name in missing)
    return (
        f"face-alignment needs {' and '.join(missing)} in {folder}, and cannot fetch them ({error}): "
        f"download them elsewhere ({sources}) and put them there"
    )
