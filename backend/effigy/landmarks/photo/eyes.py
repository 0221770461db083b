# SPDX-License-Identifier: Apache-2.0
"""Cuts the eyes out of a picture.

The network's points lie on a mesh that moves as faces do on average, so of a lid that closes they show only a part. The
pixels show the rest: how much of the iris and of the white is left, and where.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from .crop import Array, Crop, cut

PIXELS = 12  # of a patch's side
EYES = 2 * PIXELS**2  # pixels of both patches
_CORNERS = ((33, 133), (263, 362))  # outer and inner, of the right and the left eye
_SIDE = 0.4  # of a patch, in outer-eye distances: the lids and what is next to them
_FINER = 2  # samples are averaged, so that sharp and soft pictures look alike
_FAINT = 0.02  # of white: contrast that is not amplified


def eyes_of(picture: Tensor, points: Array, size: float) -> Array:
    """Returns the patches [2, PIXELS · PIXELS] of the right and the left eye in a picture [H, W, 3] uint8.

    ``points`` [478, 3] are a face's, and ``size`` is its outer-eye distance, in pixels. Patches are grey, upright by
    the eyes, of zero mean and unit contrast; the left eye is mirrored, so both look alike.
    """
    across = points[_CORNERS[1][0], :2] - points[_CORNERS[0][0], :2]
    angle = math.atan2(across[1], across[0])
    patches = []
    for corners in _CORNERS:
        x, y = points[list(corners), :2].mean(axis=0).tolist()
        grey = cut(picture, Crop(x, y, _SIDE * size, angle), _FINER * PIXELS).mean(dim=2)
        patches.append(grey.reshape(PIXELS, _FINER, PIXELS, _FINER).mean(dim=(1, 3)).cpu().double().numpy())
    patches[1] = patches[1][:, ::-1]
    flat = np.stack(patches).reshape(2, -1)
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / (flat.std(axis=1, keepdims=True) + _FAINT))
