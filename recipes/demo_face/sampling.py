# SPDX-License-Identifier: Apache-2.0
"""Interpolates within triangles and textures, and reads light from spherical harmonics."""

from __future__ import annotations

import numpy as np

from .kernels import clamp, inlined, mix, row


@inlined
def blend(values, corners, weights):
    return values[corners[0]] * weights[0] + values[corners[1]] * weights[1] + values[corners[2]] * weights[2]


@inlined
def blend3(values, corners, weights):
    a, b, c = row(values, corners[0]), row(values, corners[1]), row(values, corners[2])
    return (
        a[0] * weights[0] + b[0] * weights[1] + c[0] * weights[2],
        a[1] * weights[0] + b[1] * weights[1] + c[1] * weights[2],
        a[2] * weights[0] + b[2] * weights[1] + c[2] * weights[2],
    )


@inlined
def cell_of(size, u, v):
    """Returns row and column of the first of four texels around (u, v), and the position between them."""
    fx, fy = u * size - 0.5, (1 - v) * size - 0.5
    i, j = min(size - 2, max(0, int(fx))), min(size - 2, max(0, int(fy)))
    return j, i, clamp(fy - j), clamp(fx - i)


@inlined
def sample_masks(masks, u, v, out):
    """Samples bilinearly into ``out``."""
    j, i, dv, du = cell_of(masks.shape[0], u, v)
    for c in range(len(out)):
        above = np.float32(masks[j, i, c]) * (1 - du) + np.float32(masks[j, i + 1, c]) * du
        below = np.float32(masks[j + 1, i, c]) * (1 - du) + np.float32(masks[j + 1, i + 1, c]) * du
        out[c] = (above * (1 - dv) + below * dv) / 200


@inlined
def sample_skin(texture, u, v):
    """Returns the linear albedo: texture and detail, both interpolated bilinearly in the logarithm."""
    j, i, dv, du = cell_of(texture.detail.shape[0], u, v)
    above = texture.detail[j, i] * (1 - du) + texture.detail[j, i + 1] * du
    fine = above * (1 - dv) + (texture.detail[j + 1, i] * (1 - du) + texture.detail[j + 1, i + 1] * du) * dv
    j, i, dv, du = cell_of(texture.skin.shape[0], u, v)
    above = mix(row(texture.skin[j], i), row(texture.skin[j], i + 1), du)
    below = mix(row(texture.skin[j + 1], i), row(texture.skin[j + 1], i + 1), du)
    r, g, b = mix(above, below, dv)
    return albedo_of(r + fine), albedo_of(g + fine), albedo_of(b + fine)


@inlined
def albedo_of(logarithm):
    return min(0.95, max(0.004, np.exp(logarithm) - 0.01))


@inlined
def irradiance(e, n):
    """Returns irradiance / π [3] of the harmonics ``e`` [9, 3] on a surface with the camera-space normal ``n``."""
    return harmonic_sum(e, n, 0), harmonic_sum(e, n, 1), harmonic_sum(e, n, 2)


@inlined
def harmonic_sum(e, n, c):
    x, y, z = n
    linear = e[0, c] + e[1, c] * y + e[2, c] * z + e[3, c] * x
    quadratic = e[4, c] * x * y + e[5, c] * y * z + e[6, c] * (3 * z * z - 1) + e[7, c] * x * z
    return max(0.02, linear + quadratic + e[8, c] * (x * x - y * y))
