# SPDX-License-Identifier: Apache-2.0
"""The interface of landmark detectors to the rest of the backend."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class DetectorError(Exception):
    """A detector that cannot be used; the message says what is missing and where to get it."""


class Detector(Protocol):
    """Finds the same L landmarks in every picture."""

    @property
    def topology(self) -> str:
        """The name of the landmark set, for instance "ibug68"."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same pictures might give other points. Samples record it."""

    def detect(self, images: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [−1, 1] → points [N, 2, L] in [0, 1] (x right, y down).

        NaN where no face is seen.
        """
