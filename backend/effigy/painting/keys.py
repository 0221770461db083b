# SPDX-License-Identifier: Apache-2.0
"""Keyframes from a CSV table or from JSON; the ``frames.json`` of a bake is such a file.

Between the frames for which a value is given it is interpolated linearly; before the first and after the last it is
constant.
"""

from __future__ import annotations

import base64
import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from effigy_protocol.errors import SHOWN
from effigy_protocol.files import file_problem, parse_json
from effigy_protocol.messages import MatteName
from effigy_protocol.record import latent_hash

from ..faces import FaceModel, Identity
from ..faces.shipped import chosen_by
from .errors import PaintingError
from .format import Depth
from .shots import MOMENT, Moment

_BYTES = 64 << 20  # of a file
FRAMES = 1_000_000  # from the first to the last
_VALUES = 5_000_000  # of all frames together, each some 80 bytes in memory
_LINES, _LINE = 2 * FRAMES, 1 << 16  # of a table, and characters of a line
_FORMAT = 1

_Row = dict[str, float]  # what stands in one frame: yaw, pitch, keep and controls


@dataclass(frozen=True, slots=True)
class Keys:
    """Every frame from the first to the last, and whom the file was made for.

    ``latent``: the person's, if the file has it; ``hashes``: the latents' hashes in the frames of a bake.
    """

    frames: dict[int, Moment]
    latent: bytes | None = None
    models: frozenset[str] = frozenset()
    hashes: frozenset[str] = frozenset()
    depth: Depth = 8
    matte: MatteName = "none"

    def check(self, model: FaceModel, person: Identity) -> None:
        """Raises PaintingError where the keys were made for another model, or another person."""
        if others := self.models - {model.model_id}:
            own = min(others)
            raise PaintingError(
                f"these keys belong to model {own[:SHOWN]}, and {model.model_id} ({model.name}) is to paint them: "
                f"choose their own with --model {chosen_by(own) or 'FOLDER'}"
            )
        if self.hashes - {latent_hash(person.latent)}:
            raise PaintingError(
                "these keys were baked from another person: give the one they belong to (Export Keys in Blender writes "
                "keys and person into one file)"
            )


def read_keys(path: Path) -> Keys:
    """Reads keyframes from a .csv or .json file. Raises PaintingError."""
    if problem := file_problem(path, "file of keys"):
        raise PaintingError(problem)
    try:
        if path.stat().st_size > _BYTES:
            raise ValueError(f"it has more than {_BYTES >> 20} MiB")
        with path.open(encoding="utf-8-sig") as file:
            return _from_json(file.read()) if path.suffix.lower() == ".json" else _from_csv(file)
    except UnicodeDecodeError:
        raise PaintingError(f"{path} cannot be read as keys: it is no text in UTF-8, save it as that") from None
    except (OSError, ValueError, csv.Error) as error:
        raise PaintingError(f"{path} cannot be read as keys: {error}") from None


def turntable(model: FaceModel, count: int) -> Keys:
    """Returns ``count`` frames in which the head looks from side to side once, over nine tenths of the model's yaw
    range.
    """
    if not 1 <= count <= FRAMES:
        raise PaintingError(f"{count} frames are out of range: ask for 1 to {FRAMES}")
    reach = 0.9 * model.pose_range[0]
    yaws = reach * np.sin(2 * np.pi * np.arange(count) / count)
    return Keys({frame: Moment(yaw=float(yaw)) for frame, yaw in enumerate(yaws, start=1)})


def _from_csv(file: IO[str]) -> Keys:
    """Reads a table with the header ``frame,yaw,pitch,keep,<controls>``. An empty cell is no key. Without ``frame``,
    lines are frames.
    """
    table = _cells(file)
    header = [name.strip() for name in next(table, (1, []))[1]]
    if len(header) == 1 and (separator := next((each for each in ";\t" if each in header[0]), "")):
        raise ValueError(f"its columns are separated by {separator!r}: save it with commas between them")
    if not header or not all(header) or len(set(header)) < len(header):
        raise ValueError("its first line must name the columns, each once: frame, yaw, pitch and controls")
    if not set(header) - {"frame"}:
        raise ValueError("its first line names no column but frame: add yaw, pitch or a control")
    rows: dict[int, _Row] = {}
    for number, (line, cells) in enumerate(table, start=1):
        where = f"line {line}"
        if len(cells) != len(header):
            raise ValueError(f"{where} has {len(cells)} cells, and the first one names {len(header)} columns")
        row = {
            name: _number(cell, f"{where}, {name}") for name, cell in zip(header, cells, strict=True) if cell.strip()
        }
        frame = row.pop("frame", None if "frame" in header else float(number))
        _put(rows, frame, row, where)
    return Keys(_moments(rows, lambda frame: ()))


def _cells(file: IO[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields number and cells of each line that is not empty; a cell ends with its line, so memory is bounded."""
    for number, line in enumerate(iter(lambda: file.readline(_LINE + 1), ""), start=1):
        if number > _LINES or len(line) > _LINE:
            raise ValueError(f"line {number}: there can be {_LINES} lines of {_LINE} characters")
        cells = next(csv.reader([line]), [])
        if any(cell.strip() for cell in cells):
            yield number, cells


def _from_json(text: str) -> Keys:
    """Reads ``{"format": 1, "frames": {"1": {"yaw": …, "pitch": …, "controls": {…}}}}``; a control not in them is 0
    there.
    """
    if sum(map(text.count, ",{[")) > _VALUES:
        raise ValueError(f"it holds more than {_VALUES} values")
    read = parse_json(text)
    if not isinstance(read, dict) or read.get("format") != _FORMAT or not isinstance(read.get("frames"), dict):
        raise ValueError(f'it must be an object with "format": {_FORMAT} and "frames"')
    rows: dict[int, _Row] = {}
    for name, entry in read["frames"].items():
        where = f"frame {name[:SHOWN]}"
        if not isinstance(entry, dict) or not isinstance(entry.get("controls", {}), dict):
            raise ValueError(f'{where} must be an object with "yaw", "pitch" and "controls"')
        pose = {key: entry[key] for key in MOMENT if entry.get(key) is not None}
        row = {
            key: _number(value, f"{where}, {key[:SHOWN]}") for key, value in (pose | entry.get("controls", {})).items()
        }
        _put(rows, _number(name, where), row, where)
    every = {name for row in rows.values() for name in row}
    absent = dict.fromkeys(every - {*MOMENT}, 0.0) | dict.fromkeys(every & {"keep"}, 1.0)
    given = {frame: tuple(row) for frame, row in rows.items()}
    for entry, row in zip(read["frames"].values(), rows.values(), strict=True):
        if "controls" in entry:
            row |= {name: value for name, value in absent.items() if name not in row}
    entries = [read, *read["frames"].values()]
    return Keys(
        _moments(rows, lambda frame: given.get(frame, ())),
        _latent(read.get("person")),
        frozenset(str(entry["model"]) for entry in entries if entry.get("model") is not None),
        frozenset(str(entry["latent"]) for entry in entries if entry.get("latent") is not None),
        16 if any(entry.get("encoding") == "png16" for entry in entries) else 8,
        "head" if any(entry.get("matte") == "head" for entry in entries) else "none",
    )


def _latent(text: Any) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise ValueError('its "person" is no latent in base64') from None


def _number(value: Any, where: str) -> float:
    try:
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {str(value)[:SHOWN]!r} is no finite number")
    return number


def _put(rows: dict[int, _Row], frame: float | None, row: _Row, where: str) -> None:
    if frame is None or frame != int(frame) or abs(frame) > FRAMES:
        raise ValueError(f"{where}: the frame must be a whole number of at most {FRAMES}, not {frame}")
    if int(frame) in rows:
        raise ValueError(f"{where}: frame {int(frame)} stands there twice")
    rows[int(frame)] = row


def _moments(rows: dict[int, _Row], named: Callable[[int], tuple[str, ...]]) -> dict[int, Moment]:
    """Interpolates every frame from the first row to the last; ``named(frame)`` are controls to keep although they are
    0.
    """
    if not rows:
        raise ValueError("it holds no frames")
    first, last = min(rows), max(rows)
    if last - first >= FRAMES:
        raise ValueError(f"it runs from frame {first} to {last}, more than {FRAMES}")
    names = sorted({name for row in rows.values() for name in row})
    if len(names) * (last - first + 1) > _VALUES:
        raise ValueError(
            f"its {last - first + 1} frames of {len(names)} columns are more than {_VALUES} values: split it"
        )
    frames = np.arange(first, last + 1)
    columns = {name: np.interp(frames, *_keyed(rows, name)) for name in names}
    return dict(_each(frames.tolist(), columns, named))


def _keyed(rows: dict[int, _Row], name: str) -> tuple[list[int], list[float]]:
    where = sorted(frame for frame, row in rows.items() if name in row)
    return where, [rows[frame][name] for frame in where]


def _each(
    frames: list[int], columns: dict[str, np.ndarray], named: Callable[[int], tuple[str, ...]]
) -> Iterator[tuple[int, Moment]]:
    for index, frame in enumerate(frames):
        values = {name: float(column[index]) for name, column in columns.items()}
        yield frame, Moment.named({n: v for n, v in values.items() if v != 0 or n in MOMENT or n in named(frame)})
