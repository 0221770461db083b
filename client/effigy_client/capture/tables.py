# SPDX-License-Identifier: Apache-2.0
"""Reading captured faces: Live Link Face's CSV of ARKit blend shapes, and OpenFace's CSV of 68 landmarks."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.files import check_regular

Array = NDArray[np.float64]

_HEAD = {"headyaw": "yaw", "headpitch": "pitch", "headroll": "roll"}
_SKIPPED = {"timecode", "blendshapecount"}
_MAX_ROWS = 1_000_000
_LONGEST_S = 6 * 3600.0  # of a take: all of Blender's frames are less than five hours at 60 per second
_LARGEST = 1e6  # of a captured value: pixels of the largest pictures are a tenth of it
_SHOWN = 60  # characters of a value that is refused
_FRAMES = 1000  # of a second: no camera counts so many

_Row = tuple[int, list[str]]  # a line's number and its values


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
    times = np.array([_seconds(row[column["timecode"]], rate, path, line) for line, row in rows])
    times = _from_start(np.unwrap(times, period=86400.0), rows, path)  # recordings may cross midnight
    channels = {}
    for name, index in column.items():
        if name not in _SKIPPED:
            channels[name] = np.array([_number(row, index, path, line) for line, row in rows])
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
    for index, (line, row) in enumerate(rows):
        if "success" not in column or _number(row, column["success"], path, line) >= 0.5:
            points[index] = [[_number(row, x, path, line), -_number(row, y, path, line)] for x, y in wanted]
    if "timestamp" in column:
        times = np.array([_number(row, column["timestamp"], path, line) for line, row in rows])
    else:
        times = np.arange(len(rows)) / 30.0
    return LandmarkTrack(_from_start(times, rows, path), points)


def _from_start(times: Array, rows: list[_Row], path: Path) -> Array:
    """The times of ``rows`` from the first. Raises CaptureError where they run backwards, or for too long."""
    backwards = np.diff(times) < 0
    if backwards.any():
        line = rows[int(backwards.argmax()) + 1][0]
        raise CaptureError(f"{path.name}, line {line}: its time is before the line above's")
    times = times - times[0]
    if times[-1] > _LONGEST_S:
        line = rows[int((times > _LONGEST_S).argmax())][0]
        raise CaptureError(
            f"{path.name}, line {line}: it is {times[-1] / 3600:.3g} hours after the first, more than a take can have"
        )
    return times


def _read(path: Path, needed: list[str], kind: str) -> tuple[dict[str, int], list[_Row]]:
    """Where each column is, by its name in lower case, and the rows of a table that has the columns ``needed``."""
    rows: list[_Row] = []
    try:
        check_regular(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            header = [name.strip() for name in next(lines, [])]
            for row in lines:
                if row:
                    rows.append((lines.line_num, row))
                if len(rows) > _MAX_ROWS:
                    raise CaptureError(f"{path.name}, line {lines.line_num}: more than {_MAX_ROWS} moments are no take")
    except OSError as error:
        raise CaptureError(f"{path.name} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise CaptureError(f"{path.name} is no table of comma-separated values: choose the capture's CSV") from None
    column = {name.lower(): index for index, name in enumerate(header)}
    if header and (missing := [name for name in needed if name.lower() not in column]):
        raise CaptureError(f"{path.name} is no {kind}: it has no columns {' and '.join(missing[:2])}")
    if not rows:
        raise CaptureError(f"{path.name} holds no frames")
    for line, row in rows:
        if len(row) != len(header):
            raise CaptureError(f"{path.name}, line {line}: {len(row)} values under {len(header)} columns")
    return column, rows


def _number(row: list[str], index: int, path: Path, line: int) -> float:
    try:
        value = float(row[index])
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:  # nor is NaN
        raise CaptureError(f"{path.name}, line {line}: {row[index][:_SHOWN]!r} is no number that a capture holds")
    return value


def _seconds(timecode: str, rate: float, path: Path, line: int) -> float:
    """hh:mm:ss:ff.fff → seconds; frames count at ``rate``."""
    parts = timecode.strip().replace(";", ":").split(":")
    try:
        hours, minutes, seconds, frames = (float(part) for part in parts)
    except ValueError:
        hours = minutes = seconds = frames = math.nan
    if not (0 <= hours < 24 and 0 <= minutes < 60 and 0 <= seconds < 60 and 0 <= frames < _FRAMES):
        raise CaptureError(f"{path.name}, line {line}: {timecode[:_SHOWN]!r} is no timecode (hh:mm:ss:ff.fff)")
    return hours * 3600 + minutes * 60 + seconds + frames / rate
