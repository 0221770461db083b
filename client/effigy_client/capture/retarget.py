# SPDX-License-Identifier: Apache-2.0
"""From captured channels to a face's controls: names, ranges, frame rates and smoothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.arkit import OWN, sources

from .tables import Capture

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Target:
    """A control, the range that captured 0 … 1 is spread over, and the control of the other side, if there is one."""

    name: str
    low: float
    high: float
    twin: str = ""


def retarget(capture: Capture, targets: list[Target], gain: float = 1.0) -> dict[str, Array]:
    """Values [N] of every control that the capture says something about, within the control's range.

    Of channels that are zero throughout it says nothing: what the face does already stays.
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
    """Captured −1 … 0 … 1 over low … 0 … high."""
    return np.where(values >= 0, np.minimum(values, 1) * target.high, np.maximum(values, -1) * -target.low)


def resample(times: Array, values: Array, rate: float) -> Array:
    """[N] or [N, D] at ``times`` (s) → the values at every frame of ``rate`` per second, first to last."""
    frames = np.arange(int(np.floor(times[-1] * rate + 1e-6)) + 1) / rate
    if values.ndim == 1:
        return np.interp(frames, times, values)
    return np.stack([np.interp(frames, times, column) for column in values.T], axis=1)


def smooth(values: Array, width: float) -> Array:
    """[N] averaged by a Gaussian of ``width`` frames (one standard deviation); its ends do not shrink."""
    if width <= 0 or len(values) < 2:
        return values
    reach = min(int(np.ceil(3 * width)), len(values) - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    padded = np.pad(values, reach, mode="reflect", reflect_type="odd")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def fill_gaps(values: Array) -> Array:
    """[N, …] with rows of NaN → rows between their neighbours. Raises ValueError when all are NaN."""
    flat = values.reshape(len(values), -1)
    good = np.isfinite(flat).all(axis=1)
    if not good.any():
        raise ValueError("no face was found in any frame")
    rows = np.arange(len(flat))
    columns = [np.interp(rows, rows[good], column[good]) for column in flat.T]
    return np.stack(columns, axis=1).reshape(values.shape)
