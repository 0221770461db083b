# SPDX-License-Identifier: Apache-2.0
"""Compiled drawing: a z-buffer of triangles, strokes, and the small vector functions that shading uses.

Pixel coordinates have y down and their origin at the upper left corner; z grows towards the viewer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

kernel = njit(fastmath=True, cache=True, error_model="numpy")
inlined = njit(inline="always", fastmath=True, error_model="numpy")

FAR = np.float32(-1e30)
STROKE = -2  # in ``Canvas.triangle`` where a hair is nearest
# Which sides of a triangle are drawn.
NOTHING, FRONT, BOTH_SIDES, STIPPLED = 0, 1, 2, 3
HOLE = -3  # in ``Canvas.triangle`` where the inside of the head is visible


class Canvas(NamedTuple):
    """The nearest surface at each pixel [S, S]: depth, triangle (−1 for none), barycentric weights, and colour."""

    depth: NDArray[np.float32]
    triangle: NDArray[np.int32]
    weight_1: NDArray[np.float32]  # barycentric, of the triangle's second corner
    weight_2: NDArray[np.float32]  # of its third
    colour: NDArray[np.float32]  # [S, S, 3] linear light

    @classmethod
    def of(cls, size: int) -> Canvas:
        plane = np.zeros((size, size), np.float32)
        return cls(
            plane.copy(),
            np.zeros((size, size), np.int32),
            plane.copy(),
            plane.copy(),
            np.zeros((size, size, 3), np.float32),
        )


@inlined
def clamp(x):
    return min(1.0, max(0.0, x))


@inlined
def smooth(x):
    """Maps 0 … 1 to 0 … 1 with slope 0 at both ends."""
    return x * x * (3.0 - 2.0 * x)


@inlined
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inlined
def add(a, b, share):
    """Returns a + share · b."""
    return a[0] + share * b[0], a[1] + share * b[1], a[2] + share * b[2]


@inlined
def mix(a, b, share):
    """Returns a at 0 and b at 1, linear in between."""
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])


@inlined
def tint(a, r, g, b):
    return a[0] * r, a[1] * g, a[2] * b


@inlined
def unit(a):
    scale = 1.0 / np.sqrt(dot(a, a) + 1e-9)
    return a[0] * scale, a[1] * scale, a[2] * scale


@inlined
def row(array, index):
    return array[index, 0], array[index, 1], array[index, 2]


@inlined
def turned(R, a):
    """Returns R a."""
    return (
        R[0, 0] * a[0] + R[0, 1] * a[1] + R[0, 2] * a[2],
        R[1, 0] * a[0] + R[1, 1] * a[1] + R[1, 2] * a[2],
        R[2, 0] * a[0] + R[2, 1] * a[1] + R[2, 2] * a[2],
    )


@inlined
def half_way(towards):
    """Returns the half-way vector between a light and the viewer."""
    return unit((towards[0], towards[1], towards[2] + 1.0))


@kernel
def rasterise(points, triangles, modes, canvas):
    """Fills depth, triangle and weights of the canvas, and sets its colour to black.

    ``points`` [V, 3] are in pixels; ``modes`` [T] say which sides of a triangle are drawn.
    """
    depth, nearest, weight_1, weight_2 = canvas.depth, canvas.triangle, canvas.weight_1, canvas.weight_2
    height, width = depth.shape
    depth[:] = FAR
    nearest[:] = -1
    canvas.colour[:] = 0  # translucent strands blend with what is there, and exposure multiplies it
    for t in range(len(triangles)):
        if modes[t] == NOTHING:
            continue
        x0, y0, z0 = row(points, triangles[t, 0])
        x1, y1, z1 = row(points, triangles[t, 1])
        x2, y2, z2 = row(points, triangles[t, 2])
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0 or (area > 0 and modes[t] == FRONT):  # negative towards the viewer, since y is down
            continue
        left = max(0, int(np.ceil(min(x0, min(x1, x2)) - 0.5)))
        right = min(width - 1, int(np.floor(max(x0, max(x1, x2)) - 0.5)))
        top = max(0, int(np.ceil(min(y0, min(y1, y2)) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(y0, max(y1, y2)) - 0.5)))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                if modes[t] == STIPPLED and (x + y) % 3 != 0:
                    continue
                dx, dy = x + 0.5 - x0, y + 0.5 - y0
                w1 = (dx * (y2 - y0) - (x2 - x0) * dy) / area
                w2 = ((x1 - x0) * dy - dx * (y1 - y0)) / area
                if w1 < -1e-5 or w2 < -1e-5 or w1 + w2 > 1.00001:
                    continue
                z = z0 + w1 * (z1 - z0) + w2 * (z2 - z0)
                if z > depth[y, x]:
                    depth[y, x], nearest[y, x], weight_1[y, x], weight_2[y, x] = z, t, w1, w2


@kernel
def vertex_normals(vertices, triangles, normals):
    """Fills ``normals`` [V, 3] with unit normals, weighted by the triangles' areas."""
    normals[:] = 0
    for t in range(len(triangles)):
        a, b, c = row(vertices, triangles[t, 0]), row(vertices, triangles[t, 1]), row(vertices, triangles[t, 2])
        u, v = add(b, a, -1.0), add(c, a, -1.0)
        n = u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]
        for corner in range(3):
            for axis in range(3):
                normals[triangles[t, corner], axis] += n[axis]
    for i in range(len(normals)):
        scale = 1.0 / (np.sqrt(dot(row(normals, i), row(normals, i))) + 1e-12)
        for axis in range(3):
            normals[i, axis] *= scale


@kernel
def turn(directions, shares, head, shoulders, out):
    """Turns each of ``directions`` [N, 3] by ``head`` where its share [N] is 1, by ``shoulders`` where it is 0."""
    for i in range(len(directions)):
        a = row(directions, i)
        out[i, 0], out[i, 1], out[i, 2] = mix(turned(shoulders, a), turned(head, a), shares[i])


@kernel
def stroke(start, end, colour_0, colour_1, width, opacity, lift, canvas):
    """Draws a line of ``width`` pixels from ``start`` to ``end`` (x, y, z) where nothing is ``lift`` cm nearer.

    An opaque line becomes the nearest surface.
    """
    height, columns = canvas.depth.shape
    dx, dy = end[0] - start[0], end[1] - start[1]
    steep = abs(dy) > abs(dx)
    longest = max(abs(dx), abs(dy))
    steps = int(longest) + 1
    across = width * np.sqrt(dx * dx + dy * dy) / (longest + 1e-6)
    for k in range(steps + 1):
        t = k / steps
        x, y = start[0] + dx * t, start[1] + dy * t
        z = start[2] + (end[2] - start[2]) * t + lift
        colour = mix(colour_0, colour_1, t)
        along, middle = (y, x) if steep else (x, y)
        fixed = int(np.floor(along))
        if fixed < 0 or fixed >= (height if steep else columns):
            continue
        first = int(np.floor(middle - 0.5 * across + 0.5))
        last = max(first + 1, int(np.floor(middle + 0.5 * across + 0.5)))
        for moving in range(max(first, 0), min(last, columns if steep else height)):
            py, px = (fixed, moving) if steep else (moving, fixed)
            if z < canvas.depth[py, px]:
                continue
            if opacity > 0.99:
                canvas.depth[py, px] = z
                canvas.triangle[py, px] = STROKE
            for c in range(3):
                canvas.colour[py, px, c] += (colour[c] - canvas.colour[py, px, c]) * opacity


@kernel
def gather(canvas, normals, triangles, oversampling, light, alpha, normal, depth):
    """Averages S · ``oversampling`` samples per side into planes of S × S pixels.

    Fills ``light`` [S, S, 3] (linear, premultiplied by ``alpha``), ``alpha`` [S, S], and of the covered samples, times
    alpha too, the camera-space ``normal`` [S, S, 3] (of triangles alone) and ``depth`` [S, S] (cm).
    A pixel is the mean of the samples less than one pixel from its centre, weighted by a tent filter. A box filter
    (only the samples inside the pixel) would leave stairs along every edge.
    """
    size = len(canvas.depth)
    beyond = oversampling // 2
    for y in range(len(alpha)):
        for x in range(len(alpha)):
            colour, n = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
            total, covered, z = 0.0, 0.0, 0.0
            for j in range(max(0, oversampling * y - beyond), min(size, oversampling * (y + 1) + beyond)):
                for i in range(max(0, oversampling * x - beyond), min(size, oversampling * (x + 1) + beyond)):
                    away = abs(j + 0.5 - oversampling * (y + 0.5)), abs(i + 0.5 - oversampling * (x + 0.5))
                    weight = (oversampling - away[0]) * (oversampling - away[1])
                    total += weight
                    if canvas.depth[j, i] == FAR:
                        continue
                    covered += weight
                    z += weight * canvas.depth[j, i]
                    colour = add(colour, row(canvas.colour[j], i), weight)
                    t = canvas.triangle[j, i]
                    if t >= 0:
                        w1, w2 = canvas.weight_1[j, i], canvas.weight_2[j, i]
                        n = add(n, row(normals, triangles[t, 0]), weight * (1 - w1 - w2))
                        n = add(n, row(normals, triangles[t, 1]), weight * w1)
                        n = add(n, row(normals, triangles[t, 2]), weight * w2)
            for c in range(3):
                light[y, x, c] = colour[c] / total
                normal[y, x, c] = n[c] / total
            alpha[y, x] = covered / total
            depth[y, x] = z / total
