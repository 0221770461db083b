# SPDX-License-Identifier: Apache-2.0
"""The head's own colours at its edge in a moving preview: as in ``foreground``, in half to a fifth of the time.

What lies behind, and the head beside its edge, are looked up in 64 × 64 places; only pixels at the edge are changed.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter

from .spread import Plane, spread, spread_from_edge

_PLACES = 64  # of a picture's width, at which colours are looked up
_CLEAR, _SOLID = 0.02, 0.995  # alpha up to which a pixel shows the background alone, and from which the head alone
_BEYOND = 2  # pixels beyond the head along both axes: as far as halved pictures are interpolated
_TRUSTED = 0.85  # alpha from which a pixel's own colour counts beside the head's: see ``foreground``


def cut_out_moving(colour: Plane, alpha: Plane) -> Plane:
    """Returns ``colour`` C [H, W, 3] with the head's own colours F at its edge, and a little beyond it.

    C is sRGB in [−1, 1]; ``alpha`` [H, W] is in [0, 1]. F = (C − (1 − α)B) / α is found between C and the colours of
    the solid parts beside it, and these alone where α is small. Light is taken as the square of sRGB's values, because
    their exact curve would take as long as all else. C is unchanged where alpha is 1, and far from the head.
    """
    near = maximum_filter(alpha, 2 * _BEYOND + 1) > 0
    rows, columns = np.nonzero(near & (alpha < _SOLID))
    step = max(1, alpha.shape[1] // _PLACES)
    few, few_alpha = _light(colour[::step, ::step]), alpha[::step, ::step]
    places = (rows / step, columns / step)
    head = _at(spread_from_edge(few, (few_alpha >= _SOLID).astype(np.float32)), *places)
    behind = _at(spread(few, (few_alpha < _CLEAR).astype(np.float32)), *places)
    mixed, seen = alpha[rows, columns, None], _light(colour[rows, columns])
    own = (seen - (1 - mixed) * behind) / np.maximum(mixed, _TRUSTED)
    own = own.clip(np.minimum(seen, head), np.maximum(seen, head))
    own = head + ((mixed - _TRUSTED) / (1 - _TRUSTED)).clip(0, 1) * (own - head)
    result = colour.copy()
    result[rows, columns] = 2 * np.sqrt(own) - 1
    return result


def _light(colour: Plane) -> Plane:
    return ((colour.clip(-1, 1) + 1) / 2) ** 2


def _at(plane: Plane, rows: Plane, columns: Plane) -> Plane:
    """Interpolates ``plane`` [h, w, C] linearly at N places: [N, C]."""
    top, left = rows.astype(int), columns.astype(int)
    below, right = (np.minimum(each + 1, most - 1) for each, most in zip((top, left), plane.shape[:2], strict=True))
    down, across = ((each % 1).astype(np.float32)[:, None] for each in (rows, columns))
    upper = plane[top, left] + across * (plane[top, right] - plane[top, left])
    lower = plane[below, left] + across * (plane[below, right] - plane[below, left])
    return upper + down * (lower - upper)
