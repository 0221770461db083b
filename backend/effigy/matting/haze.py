# SPDX-License-Identifier: Apache-2.0
"""Clears the faint alpha that a generator paints where there is no head."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label

from .spread import Plane

_FAINT = 0.25  # alpha that a part of a head exceeds somewhere


def without_haze(alpha: Plane) -> Plane:
    """Returns ``alpha`` [H, W] with 0 in every connected part that is faint throughout, all else unchanged.

    Convolutions see the padding beyond a picture's corners, and paint a pixel there that has nothing of a head.
    """
    parts, count = label(alpha > 0, np.ones((3, 3)))
    if count < 2:  # a part alone is the head, however faint: a picture may show next to nothing of it
        return alpha
    faint = np.ones(count + 1, np.bool_)
    faint[parts[alpha >= _FAINT]] = False
    return np.where(faint[parts], 0, alpha)
