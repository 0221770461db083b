# SPDX-License-Identifier: Apache-2.0
"""What photographs show of people at rest, and how these differ: statistics of what is read in photographs.

``recipes/photo/photographed.py`` makes the file, of official portraits in the public domain. It holds no one's face:
only the mean of hundreds of people, and the directions in which they differ most.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ...array_files import read_arrays
from ..detector import DetectorError
from .crop import Array
from .eyes import EYES
from .reader import POINTS, SCORES

FILE = Path(__file__).with_name("networks") / "photographed.npz"


@dataclass(frozen=True, slots=True)
class Photographed:
    """Photographed people, as the networks read them; points in outer-eye distances, of a face turned to look ahead."""

    scores: Array  # [52], of an average person at rest
    mesh: Array  # [3 · 478]
    eyes: Array  # [EYES], as ``eyes`` cuts them out
    # People differ from them with the covariance spreadᵀ · spread + diag(alone²): together in the directions [m, F] in
    # which they differ most, with F = 52 + 3 · 478 + EYES, and beyond these in every number by itself, [F].
    spread: Array
    alone: Array


@cache
def photographed() -> Photographed:
    """Returns the statistics that come with Effigy. Raises DetectorError where their file is missing or damaged."""
    try:
        arrays = read_arrays(FILE)
        scores, mesh, eyes, spread, alone = (
            arrays[name].astype(np.float64) for name in ("scores", "mesh", "eyes", "spread", "alone")
        )
        if (
            scores.shape != (len(SCORES),)
            or mesh.shape != (3 * POINTS,)
            or eyes.shape != (EYES,)
            or spread.shape[1:] != (len(scores) + len(mesh) + EYES,)
            or alone.shape != spread.shape[1:]
        ):
            raise ValueError("its arrays have other sizes")
    except (ValueError, KeyError) as error:
        raise DetectorError(f"{FILE} cannot be read ({error}): install Effigy again") from None
    return Photographed(scores, mesh, eyes, spread, alone)
