# SPDX-License-Identifier: Apache-2.0
"""Ridge regression of what a face model's pictures show on what is read in them (``photo_learning``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..geometry.camera import Array

_DOUBT = 0.6  # the penalty of a component is as its standard deviation to the power of minus this


class Penalties(NamedTuple):
    """What ridge regression penalises."""

    weights: float  # of every feature, in its variance
    pixels: float  # how many times that, of a pixel of the eyes
    people: float  # how a reading differs between photographed people, in its variance


@dataclass(frozen=True, slots=True)
class Table:
    """N pictures' features: scores, components of the mesh, eyes, and turn; F in all."""

    own: Array  # their differences to the same person's at rest, [N, F]
    average: Array  # to an average person's, [N, F]
    shapes: slice  # which features are components of the mesh
    eyes: slice  # and which are pixels
    people: Array  # the covariance of features between photographed people, [F, F]


@dataclass(frozen=True, slots=True)
class Regression:
    """Ridge regression of y [N, …] on X [N, F], without an intercept, as all is 0 at rest.

    Features are scaled to unit mean square. What takes long, the products of N pictures, no penalty changes.
    """

    spread: Array  # root-mean-square of each feature, [F]; infinite for a constant one, which gets weight 0
    square: Array  # Zᵀ Z / N of the scaled features Z, [F, F]
    wanted: Array  # Zᵀ y / N, [F, …]

    @staticmethod
    def of(X: Array, y: Array) -> Regression:
        """Prepares the regression."""
        spread = np.sqrt((X**2).mean(axis=0))
        spread[spread < 1e-6] = np.inf
        Z = X / spread
        return Regression(spread, Z.T @ Z / len(Z), Z.T @ y / len(Z))

    def solve(self, penalties: Penalties, table: Table) -> Array:
        """Returns the weights [F, …].

        Components of the mesh of less variance are penalised more, as more of them is noise, and so is what differs
        between photographed people.
        """
        spread = self.spread
        penalty = np.ones(len(spread))
        shapes = spread[table.shapes]
        penalty[table.shapes] = (np.where(np.isfinite(shapes), shapes, 0.0).max(initial=1e-6) / shapes) ** _DOUBT
        penalty[table.eyes] = penalties.pixels
        penalty[~np.isfinite(spread)] = 1.0
        people = table.people / np.outer(spread, spread)
        A = self.square + penalties.weights * np.diag(penalty) + penalties.people * people
        return np.asarray((np.linalg.solve(A, self.wanted).T / spread).T)
