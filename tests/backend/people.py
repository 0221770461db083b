# SPDX-License-Identifier: Apache-2.0
"""A person whom no fit has seen, and a photograph: what tests of people share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

SEED = 4_000_001
PHOTO = Path(__file__).parents[1] / "fixtures" / "photo" / "networks.npz"  # "face": scikit-image's astronaut


def tensor(picture: np.ndarray) -> torch.Tensor:
    """Returns a picture, uint8 [H, W, 3], as [1, 3, H, W] in −1 … 1."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
