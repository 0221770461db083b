# SPDX-License-Identifier: Apache-2.0
"""The shape model for the basis viewer: X(α) = mean + Σ α_k basis_k, computed in the browser."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..faces import FaceModel

REACH = 3.0  # standard deviations to either side


def basis_of(model: FaceModel) -> dict[str, Any]:
    """Returns mean [3 · L] and basis [K][3 · L] in the face frame, triangles [T][3], and each component's name.

    Components are sorted by size, which ``sizes`` gives: the root-mean-square shift of a landmark at α = 1, in percent
    of the outer-eye distance.
    """
    size = np.sqrt((model.shape.basis**2).sum(axis=1).mean(axis=1))
    order = np.argsort(-size)
    return {
        "mean": model.shape.mean.ravel().round(4).tolist(),
        "basis": [model.shape.basis[k].ravel().round(4).tolist() for k in order],
        "names": [f"α{k + 1}" for k in order.tolist()],
        "sizes": (100 * size[order]).round(1).tolist(),
        "triangles": model.triangles.tolist(),
        "reach": REACH,
    }
