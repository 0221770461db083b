# SPDX-License-Identifier: Apache-2.0
"""Triangulates landmarks of topologies that define no surface, for the proxy mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError

from .camera import Array
from .topology import Topology

_THIN = 1e-6  # of a triangle's area, in squared outer-eye distances


def surface(mean: Array, topology: Topology) -> NDArray[np.int64]:
    """Triangulates the mean face [3, L]: triangles [T, 3], counter-clockwise seen from the front, mirror-symmetric.

    The left half of the frontal picture and the midline are triangulated (Delaunay) and mirrored. T is 0 if the points
    lie on a line.
    """
    points = mean[:2].T
    half = np.flatnonzero((points[:, 0] <= points[topology.mirror, 0]) | (topology.mirror == np.arange(len(points))))
    try:
        triangles = half[Delaunay(points[half]).simplices]
    except QhullError:
        return np.zeros((0, 3), dtype=np.int64)
    a, b, c = (points[triangles[:, i]] for i in range(3))
    area = 0.5 * ((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    on_midline = (topology.mirror[triangles] == triangles).all(axis=1)  # is its own mirror image
    triangles = triangles[(np.abs(area) > _THIN) & ~on_midline]
    return np.concatenate([triangles, topology.mirror[triangles][:, ::-1]]).astype(np.int64)
