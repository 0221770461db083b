# SPDX-License-Identifier: Apache-2.0
"""Named expressions: directions of the shape model that carry out one action of the face each.

An action's template is a linear measure of the shape in the face frame, Σ weight · X[axis, landmark]
(for instance the gap between the inner lips). Its direction is the most probable change of shape, under
α ~ N(0, I), that moves this measure and leaves all the other actions' measures where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import Array
from .shape import ShapeModel
from .topology import Topology

_LOW, _HIGH = 2.0, 98.0  # percentiles of the data that bound a control


@dataclass(frozen=True, slots=True)
class Expression:
    """A named direction in α: ``value`` 0 leaves a face as it is, 1 is the data's strong expression."""

    name: str
    group: str
    direction: Array  # [K]
    low: float
    high: float


def name_expressions(model: ShapeModel, alpha: Array, topology: Topology) -> list[Expression]:
    """The topology's actions as directions of ``model``, scaled to the range that ``alpha`` [N, K] shows."""
    measures = np.stack([_measure(model.basis, action["terms"]) for action in topology.actions.values()])
    directions = np.linalg.pinv(measures)  # [K, C]: the least change, measured by the prior
    expressions = []
    for column, (name, action) in enumerate(topology.actions.items()):
        values = alpha @ measures[column]
        low, middle, high = np.percentile(values, [_LOW, 50.0, _HIGH])
        unit = high - middle
        expressions.append(
            Expression(name, str(action["group"]), directions[:, column] * unit, float((low - middle) / unit), 1.0)
        )
    return expressions


def _measure(basis: Array, terms: list[list[float]]) -> Array:
    """What each basis shape adds to the measure: [K]."""
    return np.asarray(sum(weight * basis[:, int(axis), int(landmark)] for landmark, axis, weight in terms))
