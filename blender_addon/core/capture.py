# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading captured faces: Live Link Face's CSV of ARKit blend shapes, and OpenFace's CSV of 68 landmarks."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_HEAD = {"headyaw": "yaw", "headpitch": "pitch", "headroll": "roll"}
_SKIPPED = {"timecode", "blendshapecount"}
_MAX_ROWS = 1_000_000


class CaptureError(Exception):
    """A file that is no capture; the message says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Channels over time: ARKit's shapes (0 … 1) by name, and the head's "yaw", "pitch", "roll" in degrees.

    Angles follow docs/protocol.md: yaw > 0 turns the nose to the picture's right.
    """

    times: Array  # [N] seconds from the first row
    channels: dict[str, Array]  # each [N]


@dataclass(frozen=True, slots=True)
class LandmarkTrack:
    times: Array  # [N] seconds
    points: Array  # [N, L, 2]: x right, y up, in pixels; NaN where no face was found


def read_live_link(path: Path, rate: float = 60.0) -> Capture:
    """A CSV that the Live Link Face app recorded. ``rate`` is its frames per second. Raises CaptureError.

    Columns: Timecode (hh:mm:ss:ff.fff), BlendShapeCount, then one per ARKit shape, and the head's and eyes'
    angles in radians.
    """
    column, rows = _read(path, ["Timecode", "JawOpen"], "Live Link Face recording")
    times = np.array([_seconds(row[column["timecode"]], rate, path, number) for number, row in enumerate(rows, 2)])
    times = np.unwrap(times, period=86400.0) - times[0]  # recordings may cross midnight
    if (np.diff(times) < 0).any():
        raise CaptureError(f"{path.name}: its timecodes run backwards")
    channels = {}
    for name, index in column.items():
        if name not in _SKIPPED:
            channels[name] = np.array([_number(row, index, path, number) for number, row in enumerate(rows, 2)])
    return arkit_capture(times, channels)


def arkit_capture(times: Array, channels: dict[str, Array]) -> Capture:
    """What ARKit says, its names in lower case and the head's angles in radians, as a Capture."""
    renamed = {}
    for name, values in channels.items():
        if name in _HEAD:
            # ARKit's axes are the face frame's, and it turns about them: only its pitch, about +x, lowers the nose.
            values = np.degrees(values) * (-1.0 if name == "headpitch" else 1.0)
        renamed[_HEAD.get(name, name)] = values
    return Capture(times, renamed)


def read_openface(path: Path) -> LandmarkTrack:
    """A CSV that OpenFace's FeatureExtraction wrote, with x_0 … x_67 and y_0 … y_67. Raises CaptureError."""
    names = [f"{axis}_{point}" for point in range(68) for axis in "xy"]
    column, rows = _read(path, names, "landmark track of OpenFace")
    wanted = [(column[x], column[y]) for x, y in zip(names[::2], names[1::2], strict=True)]
    points = np.full((len(rows), 68, 2), np.nan)
    for index, row in enumerate(rows):
        if "success" not in column or _number(row, column["success"], path, index + 2) >= 0.5:
            points[index] = [[_number(row, x, path, index + 2), -_number(row, y, path, index + 2)] for x, y in wanted]
    if "timestamp" in column:
        times = np.array([_number(row, column["timestamp"], path, line) for line, row in enumerate(rows, 2)])
    else:
        times = np.arange(len(rows)) / 30.0
    if (np.diff(times) < 0).any():
        raise CaptureError(f"{path.name}: its time stamps run backwards")
    return LandmarkTrack(times - times[0], points)


def _read(path: Path, needed: list[str], kind: str) -> tuple[dict[str, int], list[list[str]]]:
    """Where each column is, by its name in lower case, and the rows of a table that has the columns ``needed``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            header = [name.strip() for name in next(lines, [])]
            rows = [row for _, row in zip(range(_MAX_ROWS), lines, strict=False) if row]
    except OSError as error:
        raise CaptureError(f"{path.name} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise CaptureError(f"{path.name} is no table of comma-separated values: choose the capture's CSV") from None
    column = {name.lower(): index for index, name in enumerate(header)}
    if header and (missing := [name for name in needed if name.lower() not in column]):
        raise CaptureError(f"{path.name} is no {kind}: it has no columns {' and '.join(missing[:2])}")
    if not rows:
        raise CaptureError(f"{path.name} holds no frames")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise CaptureError(f"{path.name}, line {number}: {len(row)} values under {len(header)} columns")
    return column, rows


def _number(row: list[str], index: int, path: Path, line: int) -> float:
    try:
        value = float(row[index])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CaptureError(f"{path.name}, line {line}: {row[index]!r} is no number")
    return value


def _seconds(timecode: str, rate: float, path: Path, line: int) -> float:
    """hh:mm:ss:ff.fff → seconds; frames count at ``rate``."""
    parts = timecode.strip().replace(";", ":").split(":")
    try:
        hours, minutes, seconds, frames = (float(part) for part in parts)
    except ValueError:
        raise CaptureError(f"{path.name}, line {line}: {timecode!r} is no timecode (hh:mm:ss:ff.fff)") from None
    return hours * 3600 + minutes * 60 + seconds + frames / rate
