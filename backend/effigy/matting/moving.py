# SPDX-License-Identifier: Apache-2.0
"""The head's own colours at its edge in a moving preview: as in ``foreground``, in half to a fifth of the time.

What lies behind, and the head farther than 2 pixels away, are looked up in 64 × 64 places; only pixels at the edge are
changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter

from .spread import Plane, spread, spread_from_edge

Places = NDArray[np.signedinteger[Any]]

_PLACES = 64  # of a picture's width, at which colours are looked up
_CLEAR, _SOLID = 0.02, 0.995  # alpha up to which a pixel shows the background alone, and from which the head alone
_BEYOND = 2  # pixels beyond the head along both axes: as far as halved pictures are interpolated
_TRUSTED = 0.85  # alpha from which a pixel's own colour counts beside the head's: see ``foreground``
_NEAR = 2  # pixels within which the head's colours are looked for
# How much they count, by place. Looked up in the 64 × 64 places alone, solid pixels that the background has lightened
# would be met or missed by chance, and their neighbours be dark dots.
_WEIGHTS = {
    (down, right): np.float32(np.exp(-(down**2 + right**2) / (2 * 0.8**2)))
    for down in range(-_NEAR, _NEAR + 1)
    for right in range(-_NEAR, _NEAR + 1)
}
_LAST = np.float32(1e-3)  # of a solid pixel that is not trusted: it counts where there is no other
_LEAST = np.float32(1e-6)


def cut_out_moving(colour: Plane, alpha: Plane, *, is_half: bool = False) -> Plane:
    """Returns ``colour`` C [H, W, 3] with the head's own colours F at its edge, and a little beyond it.

    C is sRGB in [−1, 1]; ``alpha`` [H, W] is in [0, 1]. F = (C − (1 − α)B) / α is found between C and the colours of
    the solid parts beside it, and these alone where α is small. Light is taken as the square of sRGB's values, because
    their exact curve would take as long as all else. C is unchanged where alpha is 1, and far from the head.

    ``is_half``: the picture is of half size. A generator's first blocks paint solid pixels that the background has
    lightened all along the edge, which were bright dots in dark hair: those are taken for the edge, too.
    """
    sure = np.minimum(alpha, uniform_filter(alpha, 3)) if is_half else alpha
    near = maximum_filter(alpha, 2 * _BEYOND + 1) > 0
    rows, columns = np.nonzero(near & (sure < _SOLID))
    step = max(1, alpha.shape[1] // _PLACES)
    few, few_alpha, few_sure = _light(colour[::step, ::step]), alpha[::step, ::step], sure[::step, ::step]
    places = (rows / step, columns / step)
    head = _at(spread_from_edge(few, (few_sure >= _SOLID).astype(np.float32)), *places)
    head = _beside(colour, (alpha >= _SOLID) * (_trust(sure) + _LAST), rows, columns, head)
    behind = _at(spread(few, (few_alpha < _CLEAR).astype(np.float32)), *places)
    mixed, seen = alpha[rows, columns, None], _light(colour[rows, columns])
    own = (seen - (1 - mixed) * behind) / np.maximum(mixed, _TRUSTED)
    own = own.clip(np.minimum(seen, head), np.maximum(seen, head))
    own = head + _trust(sure[rows, columns, None]) * (own - head)
    result = colour.copy()
    result[rows, columns] = 2 * np.sqrt(own) - 1
    return result


def _trust(alpha: Plane) -> Plane:
    """Returns how much a pixel's own colour counts beside the head's."""
    return ((alpha - _TRUSTED) / (1 - _TRUSTED)).clip(0, 1)


def _beside(colour: Plane, weight: Plane, rows: Places, columns: Places, otherwise: Plane) -> Plane:
    """Returns the light of pixels with a ``weight`` beside N places, [N, C], and ``otherwise`` where there is none."""
    counts = weight[..., None]
    around = [(_NEAR, _NEAR), (_NEAR, _NEAR), (0, 0)]
    known = np.pad(np.concatenate([_light(colour) * counts, counts], axis=-1, dtype=np.float32), around)
    width = known.shape[1]
    flat, places = known.reshape(-1, known.shape[-1]), (rows + _NEAR) * width + columns + _NEAR
    total = sum(weight * flat.take(places + down * width + right, axis=0) for (down, right), weight in _WEIGHTS.items())
    share = total[:, -1:]
    return np.where(share > 0, total[:, :-1] / np.maximum(share, _LEAST), otherwise)


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
