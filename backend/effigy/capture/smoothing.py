# SPDX-License-Identifier: Apache-2.0
"""The one-euro filter: steady at rest, quick in motion. Casiez, Roussel and Vogel, CHI 2012."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SPEED_CUTOFF = 1.0  # Hz, of the speed by which it is told whether something moves


class OneEuro:
    """Filters values [D] as they arrive."""

    def __init__(self, cutoff: float, beta: Array) -> None:
        """``cutoff``: Hz at rest. ``beta`` [D]: how many Hz it rises per unit per second of motion."""
        self._cutoff, self._beta = cutoff, beta
        self._value: Array | None = None
        self._speed = np.zeros_like(beta)

    def __call__(self, value: Array, seconds: float) -> Array:
        """Returns the filtered value; ``seconds`` have passed since the one before."""
        if self._value is None or seconds <= 0:
            self._value = value
            return value
        share = _share(_SPEED_CUTOFF, seconds)
        self._speed = self._speed + share * ((value - self._value) / seconds - self._speed)
        share = _share(self._cutoff + self._beta * np.abs(self._speed), seconds)
        self._value = self._value + share * (value - self._value)
        return self._value

    def forget(self) -> None:
        """Starts again: the next value is unrelated to the previous ones."""
        self._value, self._speed = None, np.zeros_like(self._beta)


def smooth_both_ways(values: Array, times: Array, cutoff: float, beta: Array, longest_gap: float) -> Array:
    """Filters [N, D] at ``times`` [N] (seconds) forwards and backwards: a finished recording needs no lag.

    After a gap of more than ``longest_gap`` seconds it starts again.
    """
    forwards, backwards = (
        _pass(values[order], np.abs(np.diff(times[order])), cutoff, beta, longest_gap)[order]
        for order in (slice(None), slice(None, None, -1))
    )
    return np.asarray((forwards + backwards) / 2)


def _pass(values: Array, steps: Array, cutoff: float, beta: Array, longest_gap: float) -> Array:
    filtered, one = np.empty_like(values), OneEuro(cutoff, beta)
    for number, value in enumerate(values):
        seconds = float(steps[number - 1]) if number else 0.0
        if seconds > longest_gap:
            one.forget()
        filtered[number] = one(value, seconds)
    return filtered


def _share(cutoff: float | Array, seconds: float) -> float | Array:
    """Returns the weight of a new value in a first-order low-pass filter."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * seconds))
