# SPDX-License-Identifier: Apache-2.0
"""Where the plate of a face is on the screen, texel by texel, and what is seen there."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from .steps import VIEW

_PLACES = """
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector
window, area, region = view3d()
view, plate = area.spaces.active.region_3d, face().effigy.plate
points = [plate.matrix_world @ Vector((x, y, 0.0)) for x, y in {places}]
{then}
result = [screen(region, location_3d_to_region_2d(region, view, point)) for point in points]
"""


def texels(shape, step=4):
    """Returns rows and columns [N] of every ``step``-th texel of a picture of this ``shape``, and of its outermost."""
    rows, columns = (sorted({*range(0, size, step), size - 1}) for size in shape)
    return tuple(each.ravel() for each in np.meshgrid(rows, columns, indexing="ij"))


def places_of(window, texel, shape, then=""):
    """Returns where the middles of the plate's texels are seen: x and y [N, 2] in what ``viewport`` returns.

    ``then`` is Python that moves these ``points`` of the scene before.
    """
    (rows, columns), (height, width) = texel, shape
    places = np.stack([(columns + 0.5) / width - 0.5, (rows + 0.5) / height - 0.5], axis=1)
    found = window.ask(_PLACES.format(places=places.tolist(), then=then))
    return np.rint(np.array(found) - (VIEW[1].start, VIEW[0].start)).astype(int)


def colours(seen, places):
    """Returns the viewport's colours [N, 3] at ``places`` [N, 2]; NaN where those lie outside of it."""
    height, width, _ = seen.shape
    inside = ((places >= 0) & (places < (width, height))).all(axis=1)
    found = np.full((len(places), 3), np.nan)
    found[inside] = seen[places[inside, 1], places[inside, 0]]
    return found


def clear_and_solid(opacity, texel):
    """Returns which texels [N] are transparent and which opaque, as all beside them, with which they are mixed."""
    return maximum_filter(opacity, 3)[texel] == 0, minimum_filter(opacity, 3)[texel] == 255
