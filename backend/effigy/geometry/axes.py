# SPDX-License-Identifier: Apache-2.0
"""Checks whether tracks are what a fit assumes: points in the order of their landmark set, x to the right and y
down.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .camera import Array
from .factorize import GeometryError
from .topology import Chain, Topology

# The four ways to lay a mirrored picture right: what its axes are in terms of those that the tracks have.
_REFLECTIONS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "y runs upwards": ((1, 0), (0, -1)),
    "x runs to the left, or left and right landmarks have changed places": ((-1, 0), (0, 1)),
    "x and y have changed places": ((0, 1), (1, 0)),
    "x and y have changed places, and both are reversed": ((0, -1), (-1, 0)),
}


def mirrored_axes(W: Array, weights: Array | None, topology: Topology) -> tuple[Array, str]:
    """Finds out whether ``W`` [N, 2, L] shows mirrored faces: returns D [2, 2] such that D @ W has x right and y down,
    and words.

    The words say what is wrong with the axes; if nothing is, they are empty and D is the identity. A roll, even of
    180°, is not a mirror: cameras explain it. ``weights`` [N, L] as in ``fit``.
    """
    across = _between(W, weights, topology.unit[:1], topology.unit[1:])
    upwards = _between(W, weights, topology.upright.low, topology.upright.high)
    # With y downwards, "up" is a quarter turn to the left of "right".
    sides = across[:, 0] * upwards[:, 1] - across[:, 1] * upwards[:, 0]
    seen = np.isfinite(sides)
    if not seen.any() or np.median(sides[seen]) <= 0:
        return np.eye(2), ""
    right, up = across[seen].mean(axis=0), upwards[seen].mean(axis=0)
    words = max(_REFLECTIONS, key=lambda it: np.dot(_REFLECTIONS[it][0], right) - np.dot(_REFLECTIONS[it][1], up))
    return np.array(_REFLECTIONS[words], dtype=np.float64), words


def _between(W: Array, weights: Array | None, start: tuple[int, ...], end: tuple[int, ...]) -> Array:
    """Returns the direction [N, 2] from the mean of some landmarks to that of others; NaN where one is missing."""
    seen = W if weights is None else np.where(weights[:, None] > 0, W, np.nan)
    way = seen[:, :, list(end)].mean(axis=2) - seen[:, :, list(start)].mean(axis=2)
    with np.errstate(invalid="ignore"):
        return np.asarray(way / np.linalg.norm(way, axis=1, keepdims=True))


def check_order(mean: Array, topology: Topology) -> None:
    """Raises GeometryError if the parts of a frontal ``mean`` [3, L] are not where a face has them."""
    for chains, axis, sign, where in (
        (topology.downwards, 1, -1.0, "below"),
        (topology.rightwards, 0, 1.0, "to the right of"),
        (((topology.far, topology.near),), 2, 1.0, "in front of"),
    ):
        for chain in chains:
            if wrong := _first_wrong(sign * mean[axis], chain):
                first, second = (", ".join(map(str, group)) for group in wrong)
                raise GeometryError(
                    f"the points are not in the order of {topology.name}: in the mean face landmark {second} should "
                    f"lie {where} {first}, and does not. Give them in that order, or name the set that they are of"
                )


def _first_wrong(along: Array, chain: Chain) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Returns the first two groups of the chain that are in the wrong order ``along`` [L]."""
    for first, second in pairwise(chain):
        if not along[list(second)].mean() > along[list(first)].mean():
            return first, second
    return None
