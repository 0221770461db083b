# SPDX-License-Identifier: Apache-2.0
"""Chooses people whose faces are at rest."""

from __future__ import annotations

from .face import FaceModel


def calmest(model: FaceModel, seed: int, seeds: int, truncation: float = 0.7) -> int:
    """Returns that of ``seeds`` numbers from ``seed`` on whose person's expression is nearest to the mean face's.

    The distance is the largest difference of any control. Some seeds give people who laugh or have an eye shut, and
    would do so with every slider at rest. ``truncation`` as for ``FaceModel.open_seed``.
    """

    def strongest(number: int) -> float:
        return max(map(abs, model.own_expression(model.open_seed(number, truncation)).values()), default=0.0)

    return min(range(seed, seed + seeds), key=strongest)
