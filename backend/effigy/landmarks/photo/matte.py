# SPDX-License-Identifier: Apache-2.0
"""Segments persons from the background of a photograph: MediaPipe's selfie segmentation."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .weights import load_networks


class Matte:
    """Separates persons from their background."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Loads the network. Raises DetectorError."""
        self.device = torch.device(device)
        (self._network,) = load_networks(("matte",), self.device)

    @torch.inference_mode()
    def matte(self, picture: Tensor | NDArray[np.uint8]) -> Tensor:
        """Maps a picture [H, W, 3] uint8 to alpha [H, W] in [0, 1]: 1 on persons, 0 behind them.

        The network's resolution is 256 × 256, so edges of larger pictures are soft.
        """
        here = torch.as_tensor(picture).to(self.device).permute(2, 0, 1)[None].float() / 255
        size = self._network.input_shape[1:3]
        # The network was trained on pictures that were scaled to a square.
        small = F.interpolate(here, size, mode="bilinear", align_corners=False, antialias=True)
        (seen,) = self._network(small.permute(0, 2, 3, 1))
        large = F.interpolate(seen.permute(0, 3, 1, 2), here.shape[2:], mode="bilinear", align_corners=False)
        return large[0, 0].clamp(0, 1)
