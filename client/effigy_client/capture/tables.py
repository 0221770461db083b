# SPDX-License-Identifier: Apache-2.0
"""Reads captured faces: Live Link Face's CSV of ARKit blend shapes, and OpenFace's CSV of 68 landmarks.

Missing data is left out and noted, never taken for zero.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.errors import SHOWN
from effigy_protocol.files import check_regular
from effigy_protocol.printable import printable

from .timeline import USUAL_RATE, bridged, gaps_of, rate_of

Array = NDArray[np.float64]

_HEAD = {"headyaw": "yaw", "headpitch": "pitch", "headroll": "roll"}
_TURN = ("yaw", "pitch", "roll")
_SKIPPED = {"timecode", "blendshapecount"}
_MAX_ROWS = 1_000_000
_LONGEST_S = 6 * 3600.0  # of a take; all of Blender's frames last less than five hours at 60 per second
_LARGEST = 1e6  # of a captured value, ten times the pixels of the largest pictures
_FRAMES = 1000  # frames in a second, more than any camera counts
_SEQUENCE_RATE = 30.0  # pictures per second of a track without times

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
    silent: frozenset[str] = frozenset()  # channels that are zero throughout, which counts as no data
    notes: tuple[str, ...] = ()  # what was odd in the file and how it was read, as parts of a sentence

    @property
    def turn(self) -> Array | None:
        """Yaw, pitch and roll, [N, 3] in degrees; None without data of the head."""
        if not any(name in self.channels and name not in self.silent for name in _TURN):
            return None
        still = np.zeros(len(self.times))
        return np.stack([self.channels.get(name, still) for name in _TURN], axis=1)


@dataclass(frozen=True, slots=True)
class LandmarkTrack:
    """Landmarks over time: x right and y up, in pixels or, for a track in three dimensions, in millimetres."""

    times: Array  # [N] seconds
    points: Array  # [N, L, 2]; NaN where no face was found
    notes: tuple[str, ...] = ()


def read_live_link(path: Path, rate: float | None = None) -> Capture:
    """Reads a CSV that the Live Link Face app recorded. Raises CaptureError.

    Its columns are Timecode (hh:mm:ss:ff.fff), BlendShapeCount, one for each ARKit shape, and the angles of head and
    eyes in radians. ``rate`` is the timecode's frame rate; None infers it. Missing or invalid values are interpolated.
    """
    names, rows, notes = _read(path, ["Timecode", "JawOpen"], "Live Link Face recording", least=2)
    column = _first_columns([name.lower() for name in names], notes)
    codes = np.array([_timecode(row[column["timecode"]], path, line) for line, row in rows])
    times = _unrolled(codes, rate, path, rows, notes)
    channels, lost = {}, np.zeros(len(rows), bool)
    for name, index in column.items():
        if name not in _SKIPPED:
            values = np.array([_number(row, index, path, line, or_nan=True) for line, row in rows])
            there = np.isfinite(values)
            lost |= ~there & there.any()
            channels[name] = np.interp(times, times[there], values[there]) if there.any() else np.zeros(len(rows))
    if lost.any():
        notes.append(f"{lost.sum()} of {len(rows)} moments lack values: bridged")
    _note_gaps(times, notes)
    return arkit_capture(times, channels, tuple(notes))


def arkit_capture(times: Array, channels: dict[str, Array], notes: tuple[str, ...] = ()) -> Capture:
    """Makes a capture of ARKit's channels, with names in lower case and the head's angles in radians."""
    renamed = {}
    for name, values in channels.items():
        if name in _HEAD:
            # ARKit rotates about the axes of the face frame. Only its pitch, about +x, has the opposite sign.
            values = np.degrees(values) * (-1.0 if name == "headpitch" else 1.0)
        renamed[_HEAD.get(name, name)] = values
    silent = frozenset(name for name, values in renamed.items() if not values.any())
    return Capture(times, renamed, silent, notes)


def read_openface(path: Path) -> LandmarkTrack:
    """Reads a CSV of OpenFace: X_0 … X_67 and Y_0 … Y_67 in millimetres, or x_0 … in pixels. Raises CaptureError.

    If there are both, millimetres are read, because perspective makes pixels look more turned. Of several faces, the
    one that is seen longest is read.
    """
    wanted = [f"{axis}_{n}" for n in range(68) for axis in "xy"]
    names, rows, notes = _read(path, wanted, "landmark track of OpenFace", least=len(wanted))
    column = _first_columns(names, notes)  # the names of millimetres and pixels differ only in case
    column = {name.lower(): index for name, index in column.items()} | column
    if all(name.upper() in column for name in wanted):
        wanted = [name.upper() for name in wanted]
    x, y = ([column[name] for name in wanted[axis::2]] for axis in (0, 1))
    rows = _one_face(column, rows, path, notes)
    points = np.full((len(rows), 68, 2), np.nan)
    for index, (line, row) in enumerate(rows):
        if _is_seen(column, row, path, line):
            spots = zip(x, y, strict=True)
            points[index] = [[_number(row, a, path, line), -_number(row, b, path, line)] for a, b in spots]
    times = _track_times(column, rows, path, notes)
    _note_gaps(times, notes)
    return LandmarkTrack(times, points, tuple(notes))


def _unrolled(codes: Array, rate: float | None, path: Path, rows: list[_Row], notes: list[str]) -> Array:
    """Converts timecodes [N, 2], whole seconds of the day and frames, to seconds [N] from the first."""
    whole, frames = codes[:, 0], codes[:, 1]
    if rate is not None and frames.max() >= rate:
        line = rows[int(frames.argmax())][0]
        raise CaptureError(
            f"{path.name}, line {line}: its timecode counts to frame {frames.max():g}, beyond {rate:g} a second: "
            "choose another capture rate, or 0 to take the recording's own"
        )
    counted = rate or rate_of(whole, frames)
    if counted is None:
        counted = max(USUAL_RATE, math.floor(frames.max()) + 1)
    elif rate is None and counted != USUAL_RATE:
        notes.append(f"its timecode counts {counted:g} frames per second")
    times = np.unwrap(whole + frames / counted, period=86400.0)  # recordings may cross midnight
    if len(times) > 1 and not np.ptp(times):
        notes.append(f"its clock stands still: {counted:g} moments per second are assumed")
        times = np.arange(len(times)) / counted
    return _from_start(times, rows, path, notes)


def _track_times(column: dict[str, int], rows: list[_Row], path: Path, notes: list[str]) -> Array:
    """Returns seconds [N] from the first: by time stamps, or by frame numbers if these are missing or constant."""
    if "timestamp" in column:
        times = np.array([_number(row, column["timestamp"], path, line) for line, row in rows])
        if len(times) == 1 or np.ptp(times):
            return _from_start(times, rows, path, notes)
    notes.append(f"its pictures have no times: {_SEQUENCE_RATE:g} per second are taken")
    if "frame" in column:
        times = np.array([_number(row, column["frame"], path, line) for line, row in rows]) / _SEQUENCE_RATE
        if len(times) == 1 or np.ptp(times):
            return _from_start(times, rows, path, notes)
    return np.arange(len(rows)) / _SEQUENCE_RATE


def _one_face(column: dict[str, int], rows: list[_Row], path: Path, notes: list[str]) -> list[_Row]:
    """Returns the rows of the face that is seen longest."""
    if "face_id" not in column:
        return rows
    faces: dict[float, list[_Row]] = {}
    for line, row in rows:
        faces.setdefault(_number(row, column["face_id"], path, line), []).append((line, row))
    if len(faces) == 1:
        return rows
    seen = {face: sum(_is_seen(column, row, path, line) for line, row in own) for face, own in faces.items()}
    face = max(seen, key=lambda face: (seen[face], -face))
    notes.append(f"{len(faces)} faces are in it: number {face:g}, which is seen longest, is taken")
    return faces[face]


def _is_seen(column: dict[str, int], row: list[str], path: Path, line: int) -> bool:
    return "success" not in column or _number(row, column["success"], path, line) >= 0.5


def _from_start(times: Array, rows: list[_Row], path: Path, notes: list[str]) -> Array:
    """Returns the times of ``rows`` from the first. Raises CaptureError if they step far back, or last too long."""
    times, back, far = bridged(times)
    if far >= 0:
        raise CaptureError(f"{path.name}, line {rows[far][0]}: its time is {back:.3g} s before the line above's")
    if back:
        notes.append(f"its clock steps back, by {1000 * back:.0f} ms at most: bridged")
    times = times - times[0]
    if times[-1] > _LONGEST_S:
        line = rows[int((times > _LONGEST_S).argmax())][0]
        raise CaptureError(
            f"{path.name}, line {line}: it is {times[-1] / 3600:.3g} hours after the first, more than a take can have"
        )
    return times


def _note_gaps(times: Array, notes: list[str]) -> None:
    """Adds a note on gaps, if there are any."""
    if gaps := gaps_of(times):
        begins, longest = max(gaps, key=lambda gap: gap[1])
        count = "a gap" if len(gaps) == 1 else f"{len(gaps)} gaps, the longest"
        notes.append(f"{count} of {longest:.1f} s at {begins:.1f} s")


def _first_columns(names: list[str], notes: list[str]) -> dict[str, int]:
    """Returns the first column of each name; notes which names more than one column has."""
    if twice := [name for name, count in Counter(names).items() if name and count > 1]:
        notes.append(f"more than one column is named {printable(', '.join(twice)[:SHOWN])}: the first is taken")
    return {name: index for index, name in reversed(list(enumerate(names)))}


def _read(path: Path, needed: list[str], kind: str, least: int) -> tuple[list[str], list[_Row], list[str]]:
    """Reads a table with the columns ``needed``, in any case; returns names, rows and notes. Raises CaptureError.

    A row of ``least`` cells, from a moment without a face, is filled up with empty ones. Empty cells and rows at the
    end, as spreadsheets leave them, are ignored.
    """
    rows: list[_Row] = []
    try:
        check_regular(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            header = _trimmed(next(lines, []), 0)
            for row in lines:
                if cells := _trimmed(row, len(header)):
                    rows.append((lines.line_num, cells))
                if len(rows) > _MAX_ROWS:
                    raise CaptureError(f"{path.name}, line {lines.line_num}: more than {_MAX_ROWS} moments are no take")
    except OSError as error:
        raise CaptureError(f"{path.name} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise CaptureError(f"{path.name} is no table of comma-separated values: choose the capture's CSV") from None
    known = {name.lower() for name in header}
    if header and (missing := [name for name in needed if name.lower() not in known]):
        raise CaptureError(f"{path.name} is no {kind}: it has no columns {' and '.join(missing[:2])}")
    notes = []
    if len(rows) > 1 and len(rows[-1][1]) < len(header):
        line, _ = rows.pop()
        notes.append(f"line {line}, the last, is cut short: left out")
    if not rows:
        raise CaptureError(f"{path.name} holds no frames")
    for line, row in rows:
        if len(row) == least:
            row += [""] * (len(header) - least)
        if len(row) != len(header):
            raise CaptureError(f"{path.name}, line {line}: {len(row)} values under {len(header)} columns")
    return header, rows, notes


def _trimmed(row: list[str], least: int) -> list[str]:
    """Strips cells, and drops empty ones at the end, down to ``least`` cells; [] if all are empty."""
    cells = [cell.strip() for cell in row]
    if not any(cells):
        return []
    while len(cells) > least and not cells[-1]:
        cells.pop()
    return cells


def _number(row: list[str], index: int, path: Path, line: int, *, or_nan: bool = False) -> float:
    """Reads a number. Raises CaptureError; with ``or_nan``, empty cells and "nan" give NaN instead."""
    text = row[index]
    if or_nan and text.lower() in ("", "nan"):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:  # nor is NaN
        raise CaptureError(f"{path.name}, line {line}: {text[:SHOWN]!r} is no number that a capture holds")
    return value


def _timecode(timecode: str, path: Path, line: int) -> tuple[float, float]:
    """Splits hh:mm:ss:ff.fff into whole seconds of the day, and frames. Raises CaptureError."""
    parts = timecode.replace(";", ":").split(":")
    try:
        hours, minutes, seconds, frames = (float(part) for part in parts)
    except ValueError:
        hours = minutes = seconds = frames = math.nan
    if not (0 <= hours < 24 and 0 <= minutes < 60 and 0 <= seconds < 60 and 0 <= frames < _FRAMES):
        raise CaptureError(f"{path.name}, line {line}: {timecode[:SHOWN]!r} is no timecode (hh:mm:ss:ff.fff)")
    return hours * 3600 + minutes * 60 + seconds, frames
