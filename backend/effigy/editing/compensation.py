# SPDX-License-Identifier: Apache-2.0
"""Computes the change of q that holds pose and expression while looks change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..geometry.camera import Array
from ..geometry.expressions import Expression
from .parameters import ALPHA, POSE


def compensation(moved: Array, controls: Sequence[Expression], shown: Array) -> Array:
    """Returns the change of q [Q] that takes back what of ``moved`` [Q] is pose or expression.

    The pose is taken back whole, α along the ``controls``, as far as they read it and pictures show that; the rest is
    the face's own shape, which may change with its looks. ``shown`` [C]: the share of each reading that pictures show.

        Δα' = −Dᵀ (R Dᵀ)⁻¹ diag(shown) R Δα,  D the controls' directions, R their readings, [C, K].
    """
    change = np.zeros_like(moved)
    change[:POSE] = -moved[:POSE]
    if controls:
        D, R = (np.stack([getattr(control, name) for control in controls]) for name in ("direction", "reading"))
        change[ALPHA] = -D.T @ np.linalg.lstsq(R @ D.T, shown * (R @ moved[ALPHA]), rcond=None)[0]
    return change
