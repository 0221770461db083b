# SPDX-License-Identifier: Apache-2.0
"""When the moments of a recording were, where its clock says so badly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATES = (24, 25, 30, 48, 50, 60, 90, 100, 120, 240)  # frames per second by which timecodes count
USUAL_RATE = 60  # the Live Link Face app's
STEP_BACK_S = 0.5  # a clock that is set right during a take steps back by less
GAP_S = 1.0  # from which a gap is one


def rate_of(seconds: Array, frames: Array) -> int | None:
    """By how many frames per second timecodes count: [N] whole seconds, and [N] frames in them.

    No frame's number reaches the rate; and from a second's last frame to the next one's first it is as far as between
    others. None where no second's end is in it, so that nobody can tell.
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
    """``times`` [N] without small steps back, the largest of these in seconds, and where one is too large, or −1.

    What comes after a step back is as late as if the clock had gone on by the usual step.
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
    """When each gap of ``times`` [N] begins, and how many seconds it has."""
    steps = np.diff(times)
    return [(float(times[n]), float(steps[n])) for n in np.flatnonzero(steps > GAP_S)]


def without_gaps(times: Array) -> Array:
    """``times`` [N] in which every gap has the usual step."""
    steps = np.diff(times)
    if not (steps > GAP_S).any():
        return times
    short = steps[steps <= GAP_S]
    usual = float(np.median(short)) if len(short) else 1 / USUAL_RATE
    return np.concatenate([times[:1], times[0] + np.cumsum(np.where(steps > GAP_S, usual, steps))])
