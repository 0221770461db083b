# SPDX-License-Identifier: Apache-2.0
"""Finds the head in a painted picture whose generator paints no alpha."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..landmarks.photo import Matte
from ..matting import refine
from ..matting.spread import Plane

# The margin above and on both sides, as a share of the picture's size. The network was trained on people in front of a
# webcam, who have room around them. With this margin its error on renders is 0.6 of that without.
_ROOM = 1 / 4


@lru_cache(maxsize=1)
def _network() -> Matte:
    """Loads the network onto the CPU, wherever the generator is, so that alpha rounds alike everywhere."""
    return Matte("cpu")


def head_alpha(colour: Plane) -> Plane:
    """Returns the alpha [H, W] in [0, 1] of the head, with hair and clothes, in a picture [H, W, 3], sRGB in [−1, 1].

    The network's answer is refined to follow the picture's edges. Raises DetectorError where its file is missing.
    """
    picture = (colour.clip(-1, 1) + 1) / 2
    height, width = picture.shape[:2]
    above, beside = round(_ROOM * height), round(_ROOM * width)
    seen = np.pad(np.rint(255 * picture).astype(np.uint8), ((above, 0), (beside, beside), (0, 0)), mode="edge")
    coarse = _network().matte(seen).numpy()[above:, beside : beside + width]
    return refine(coarse, picture)
