# SPDX-License-Identifier: Apache-2.0
"""Named expressions: directions of the shape model that carry out one action of the face each.

An action's template is a linear measure of the shape in the face frame, Σ weight · X[axis, landmark] (for
instance the gap between the inner lips). People move by independent actions, most of them at rest most of
the time and one-sided: lids close, they hardly open further. So from the template's direction a fixed-point
search (Hyvärinen, *Fast and Robust Fixed-Point Algorithms for Independent Component Analysis*, 1999, one unit,
deflation, skewness as the contrast) finds the nearest component of the data that is skewed most. Where that is
another thing than the template measures, the template itself is kept.
Left and right are apart where the data moves them apart. Controls are uncorrelated with each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .camera import Array
from .shape import ShapeModel
from .topology import Topology

_LOW, _HIGH = 2.0, 98.0  # percentiles of the data that bound a control
_SAME = 0.75  # correlation from which a component still is what its template measures
_TOGETHER = 0.6  # correlation from which left and right are one action
_OWN = 0.5**0.5  # length of a template's direction beside the earlier actions: half of its variance is its own
_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Expression:
    """A named direction in α: ``value`` 0 leaves a face as it is, 1 is the data's strong expression."""

    name: str
    group: str
    direction: Array  # [K]
    reading: Array  # [K]: reading · α is the value (up to a constant) that a face shows
    low: float
    high: float


def name_expressions(model: ShapeModel, alpha: Array, topology: Topology) -> list[Expression]:
    """The topology's actions as directions of ``model``, found in and scaled to the data ``alpha`` [N, K]."""
    whitener, white = _whiten(alpha)
    colour = np.linalg.pinv(whitener)
    expressions, taken = [], np.zeros((0, alpha.shape[1]))
    for name, group, measure in _actions(model, alpha, topology):
        template = _apart(_unit(colour @ measure), taken)
        if np.linalg.norm(template) < _OWN:
            continue  # the data shows this action only as a part of the others
        template = _unit(template)
        component = _independent(white, template, taken)
        unmixing = component if component @ template >= _SAME else template
        taken = np.vstack([taken, unmixing])
        values = white @ unmixing
        low, middle, high = np.percentile(values, [_LOW, 50.0, _HIGH])
        unit = high - middle
        expressions.append(
            Expression(
                name, group, direction=unit * colour.T @ unmixing, reading=whitener @ unmixing / unit,
                low=float((low - middle) / unit), high=1.0,
            )
        )  # fmt: skip
    return expressions


def _actions(model: ShapeModel, alpha: Array, topology: Topology) -> Iterator[tuple[str, str, Array]]:
    """Name, group and measure [K] of each action; its two sides where the data moves them apart."""
    for name, action in topology.actions.items():
        if action.left and action.right:
            left, right = _measure(model.basis, action.left), _measure(model.basis, action.right)
            if np.corrcoef(alpha @ left, alpha @ right)[0, 1] < _TOGETHER:
                yield f"{name}Left", action.group, left
                yield f"{name}Right", action.group, right
                continue
        yield name, action.group, _measure(model.basis, action.left + action.right)


def _measure(basis: Array, terms: tuple[tuple[int, int, float], ...]) -> Array:
    """What each basis shape adds to the measure: [K]."""
    return np.asarray(sum(weight * basis[:, axis, landmark] for landmark, axis, weight in terms))


def _whiten(alpha: Array) -> tuple[Array, Array]:
    """A [K, K] that makes the coefficients uncorrelated and of unit variance, and the coefficients so made."""
    values, vectors = np.linalg.eigh(np.cov(alpha.T))
    whitener = vectors / np.sqrt(np.maximum(values, 1e-12))
    return whitener, (alpha - alpha.mean(axis=0)) @ whitener


def _independent(white: Array, start: Array, taken: Array) -> Array:
    """The unit vector near ``start`` whose coordinate is most skewed, apart from those ``taken``.

    Skewness, since contrasts that are even, tanh's among them, see little of a lid that is open or closed: it
    has a long tail on one side and yet no excess of kurtosis. From a lid they went off to other actions.
    """
    w = start
    for _ in range(_ROUNDS):
        step = _unit(_apart((white * np.square(white @ w)[:, None]).mean(axis=0), taken))
        step *= np.sign(step @ w) or 1.0
        if step @ w > 1 - 1e-10:
            break
        w = step
    return w


def _apart(vector: Array, taken: Array) -> Array:
    return vector - (vector @ taken.T) @ taken


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
