# SPDX-License-Identifier: Apache-2.0
"""Chooses people whose faces are at rest."""

from __future__ import annotations

from .face import FaceModel

_LIDS, _LIDS_WEIGHT = "eyeBlink", 3.0  # a lid that hangs by a tenth looks sleepy; a brow a tenth lower is anybody's


def calmest(model: FaceModel, seed: int, seeds: int, truncation: float = 0.7) -> int:
    """Returns that of ``seeds`` numbers from ``seed`` on whose person's expression is nearest to the mean face's.

    The distance is the largest difference of any control, where those of lids count _LIDS_WEIGHT times. Some seeds give
    people who laugh or have an eye shut, and would do so with every slider at rest. ``truncation`` as for
    ``FaceModel.open_seed``.
    """

    def strongest(number: int) -> float:
        own = model.own_expression(model.open_seed(number, truncation))
        return max((abs(v) * (_LIDS_WEIGHT if name.startswith(_LIDS) else 1.0) for name, v in own.items()), default=0.0)

    return min(range(seed, seed + seeds), key=strongest)
