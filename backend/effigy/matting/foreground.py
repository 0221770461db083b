# SPDX-License-Identifier: Apache-2.0
"""The head's own colours, where its edge shows something of what is behind it.

A picture is C = αF + (1 − α)B in linear light: head F before background B. Drawn before anything else with C for F, an
edge keeps a fringe of the old background. B is smooth where it can be seen beside the edge, so it is spread under it;
then F = (C − (1 − α)B) / α where α is large enough to tell, and is spread outwards from there.
"""

from __future__ import annotations

import numpy as np

from .spread import Plane, spread, spread_from_edge

_CLEAR = 0.02  # alpha up to which a pixel shows the background alone
# Alpha from which a pixel's own F counts beside its neighbours'. At the renderer's edges, where the truth is known,
# the least error of colour: 4 of 255, where C itself is wrong by 13.
_TRUSTED = 0.85
_SOLID = 0.98  # alpha from which a pixel is the head's own
_SOLID_PAINTED = 0.995  # the same of an alpha that was painted with the colours


def cut_out(colour: Plane, alpha: Plane, *, is_painted: bool = False) -> Plane:
    """Estimates the head's own colours F [H, W, 3] in ``colour`` C [H, W, 3], which mixes with the background at edges.

    Both are sRGB in [−1, 1]; ``alpha`` [H, W] is in [0, 1]. Where alpha is 1, F equals C, bit for bit. Where it is 0, F
    continues the head's colours, so that filters that do not weight colours by alpha show no fringe.

    ``is_painted``: alpha was painted with the colours. Then F also stays between C and the colours of the solid parts
    beside it, as otherwise dark hair before something bright gets an edge of black dots, where B is estimated a little
    too bright. (With mattes that are found F has the bits that it has always had.)
    """
    light, mixed = to_linear((colour.clip(-1, 1) + 1) / 2), alpha[..., None]
    background = spread(light, (alpha < _CLEAR).astype(np.float32))
    head = ((light - (1 - mixed) * background) / np.maximum(mixed, _TRUSTED)).clip(0, 1)
    if is_painted:
        solid = spread_from_edge(light, (alpha >= _SOLID_PAINTED).astype(np.float32))
        head = head.clip(np.minimum(light, solid), np.maximum(light, solid))
    fill = spread_from_edge if is_painted else spread
    head = fill(head, ((alpha - _TRUSTED) / (1 - _TRUSTED)).clip(0, 1))
    return np.where(mixed >= (_SOLID_PAINTED if is_painted else _SOLID), colour, 2 * to_srgb(head) - 1)


def multipliable(shown: Plane) -> Plane:
    """Returns colours and straight alpha [..., 4] in [−1, 1] whose bytes are kept by programs that multiply them.

    Blender's Cycles multiplies bytes in whole numbers, rounds down, and divides again: colour c becomes
    [255 ⌊c a / 255⌋ / a] under alpha a. Where that is more than 1 of 255 from c, times alpha, it is not for c + 1,
    which then stands for it.
    """
    level = (shown * 127.5 + 128).clip(0, 255).astype(np.uint8)  # as Pictures.bytes rounds
    is_soft = (level[..., 3] > 0) & (level[..., 3] < 255)
    colour, alpha = np.split(level[is_soft].astype(np.int32), [3], axis=-1)
    after = -((alpha - 2 * 255 * (colour * alpha // 255)) // (2 * alpha))  # a half may go either way: here down
    kept = shown.copy()
    kept[is_soft, :3] = np.where((colour - after) * alpha > 255, 2 * (colour + 1) / 255 - 1, shown[is_soft, :3])
    return kept


def to_linear(colour: Plane) -> Plane:
    """sRGB → linear light, both 0 … 1 (IEC 61966-2-1)."""
    curve = ((colour + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(colour <= 0.04045, colour / np.float32(12.92), curve)


def to_srgb(light: Plane) -> Plane:
    """Linear light → sRGB, both 0 … 1."""
    curve = np.float32(1.055) * np.maximum(light, np.float32(1e-6)) ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(light <= 0.0031308, light * np.float32(12.92), curve)
