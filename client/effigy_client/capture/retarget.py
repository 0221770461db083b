# SPDX-License-Identifier: Apache-2.0
"""Maps captured channels to a face's controls: by name, to their ranges, at another frame rate, smoothed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.arkit import OWN, sources

from .tables import Capture, CaptureError

Array = NDArray[np.float64]

LAST_FRAME = 1_048_574  # that Blender counts to


@dataclass(frozen=True, slots=True)
class Target:
    """A control that captured values are mapped to."""

    name: str
    low: float  # the value for a captured −1
    high: float  # and for 1
    twin: str = ""  # the control of the other side, if there is one


def retarget(capture: Capture, targets: list[Target], gain: float = 1.0) -> dict[str, Array]:
    """Returns the values [N] of every control for which the capture has data, within the control's range.

    Channels that are zero throughout count as no data, so that those controls keep their animation.
    """
    found = {}
    for target in targets:
        column = (OWN + target.name).lower()
        if column in capture.channels:  # a recording of ours
            terms = [(column, 1.0)]
        else:
            terms = sources(target.name, target.twin or target.name, capture.channels)
        if any(channel not in capture.silent for channel, _ in terms):
            heard = [weight * capture.channels[channel] for channel, weight in terms]
            found[target.name] = _spread(gain * np.sum(heard, axis=0), target)
    return found


def _spread(values: Array, target: Target) -> Array:
    """Maps captured values −1 … 0 … 1 to low … 0 … high."""
    return np.where(values >= 0, np.minimum(values, 1) * target.high, np.maximum(values, -1) * -target.low)


def resample(times: Array, values: Array, rate: float) -> Array:
    """Interpolates values [N] or [N, D] at ``times`` [N] (seconds) at ``rate`` frames per second, first to last.

    Raises CaptureError for more frames than Blender counts, before memory is taken for them.
    """
    last = np.floor(float(times[-1]) * rate + 1e-6)
    if not last < LAST_FRAME:
        raise CaptureError(
            f"a take of {times[-1]:.6g} s is longer than the {LAST_FRAME} frames that Blender counts at {rate:.6g} a "
            "second: lower the scene's frame rate"
        )
    frames = np.arange(int(last) + 1) / rate
    if values.ndim == 1:
        return np.interp(frames, times, values)
    return np.stack([np.interp(frames, times, column) for column in values.T], axis=1)


def smooth(values: Array, width: float) -> Array:
    """Smooths values [N] by a Gaussian with a standard deviation of ``width`` frames; their number stays."""
    if width <= 0 or len(values) < 2:
        return values
    reach = min(int(np.ceil(3 * width)), len(values) - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    padded = np.pad(values, reach, mode="reflect", reflect_type="odd")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def fill_gaps(values: Array) -> Array:
    """Interpolates the rows of values [N, …] that hold NaN. Raises ValueError if all do."""
    flat = values.reshape(len(values), -1)
    good = np.isfinite(flat).all(axis=1)
    if not good.any():
        raise ValueError("no face was found in any frame")
    rows = np.arange(len(flat))
    columns = [np.interp(rows, rows[good], column[good]) for column in flat.T]
    return np.stack(columns, axis=1).reshape(values.shape)
