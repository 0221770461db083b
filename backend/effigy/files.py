# SPDX-License-Identifier: Apache-2.0
"""Files whose names users give: says what is wrong with one before it is opened, bounds what is read, and writes files
whole or not at all.
"""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_SHOWN = 300  # characters of a path
_JSON = 16 << 20  # bytes
_DEEP = "nested too deeply"


def file_problem(path: Path, what: str = "file") -> str:
    """Says why ``path`` cannot be read as a file, or returns "" if it can.

    Only regular files can: reading a pipe or a device might never end.
    """
    shown = str(path) if len(str(path)) <= _SHOWN else f"{str(path)[:_SHOWN]}…"
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no {what} {shown}"
    except (OSError, ValueError) as error:  # a name that is too long, has a zero in it, or leads into a circle
        return f"{shown} cannot be a {what} ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISDIR(mode):
        return f"{shown} is a folder"
    return "" if stat.S_ISREG(mode) else f"{shown} is a pipe or a device, and no regular file"


def is_file(path: Path) -> bool:
    """Returns whether ``path`` is a regular file; also false for a string that cannot be a path."""
    return not file_problem(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside ``path`` to write to. On success it replaces ``path``; on an error it is
    removed.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):  # the first error is the one to be told
            temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Gives the folder ``path``, which does not exist yet, for temporary files; it is removed at the end.

    What a killed run left there is removed first.
    """
    shutil.rmtree(path, ignore_errors=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder beside ``path``, which does not exist yet, and renames it on success, as ``whole_file``
    does.
    """
    with scratch_folder(path.with_name(path.name + ".part")) as temporary:
        yield temporary
        temporary.rename(path)


def read_json(path: Path) -> Any:
    """Reads the JSON file ``path``. Raises OSError, or ValueError if it is not JSON of finite numbers within our
    limits.
    """
    if path.stat().st_size > _JSON:
        raise ValueError(f"it has more than {_JSON >> 20} MiB")
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """Parses JSON ``text`` whose numbers are all finite. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError(_DEEP) from None


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number")
    return number
