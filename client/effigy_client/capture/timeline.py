# SPDX-License-Identifier: Apache-2.0
"""Repairs the times of a recording whose clock is unreliable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATES = (24, 25, 30, 48, 50, 60, 90, 100, 120, 240)  # frame rates of timecodes
USUAL_RATE = 60  # frames per second of the Live Link Face app
STEP_BACK_S = 0.5  # a clock that is corrected during a take steps back by less
GAP_S = 1.0  # a longer step is a gap


def rate_of(seconds: Array, frames: Array) -> int | None:
    """Infers the frame rate of timecodes from their whole ``seconds`` [N] and the ``frames`` [N] within these.

    Every frame's number is below the rate, and the step from a second's last frame to the next second's first is as
    large as the others. Returns None if no second ends within the recording.
    """
    passes = np.diff(seconds) == 1
    if not passes.any():
        return None
    steps = np.diff(frames)
    within = steps[(np.diff(seconds) == 0) & (steps > 0)]
    usual = float(np.median(within)) if len(within) else 0.0
    counted = float(np.median(usual - steps[passes]))
    possible = [rate for rate in RATES if rate > frames.max()]
    if not possible or usual <= 0:
        return None
    return min(possible, key=lambda rate: abs(rate - counted))


def bridged(times: Array) -> tuple[Array, float, int]:
    """Removes small steps back from ``times`` [N]: after one, time goes on by the usual step.

    Returns the times, the largest step back in seconds, and the number of the first one that is too large, or −1.
    """
    steps = np.diff(times)
    back = steps < 0
    if not back.any():
        return times, 0.0, -1
    largest = float(-steps.min())
    if largest > STEP_BACK_S:
        return times, largest, int(np.argmax(steps < -STEP_BACK_S)) + 1
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    return np.concatenate([times[:1], times[0] + np.cumsum(np.where(back, usual, steps))]), largest, -1


def gaps_of(times: Array) -> list[tuple[float, float]]:
    """Returns the start and the length of each gap in ``times`` [N], in seconds."""
    steps = np.diff(times)
    return [(float(times[n]), float(steps[n])) for n in np.flatnonzero(steps > GAP_S)]


def without_gaps(times: Array) -> Array:
    """Shortens every gap in ``times`` [N] to the usual step."""
    steps = np.diff(times)
    if not (steps > GAP_S).any():
        return times
    short = steps[steps <= GAP_S]
    usual = float(np.median(short)) if len(short) else 1 / USUAL_RATE
    return np.concatenate([times[:1], times[0] + np.cumsum(np.where(steps > GAP_S, usual, steps))])
