# SPDX-License-Identifier: Apache-2.0
"""Files that people name: what is wrong with one is said before it is opened, what is in it is bounded.

What is written is there whole, or not at all.
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
    """Why ``path`` cannot be read as a file; empty where nothing stands against it.

    Only regular files can: a pipe or a device might never end.
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
    """Whether ``path`` is a regular file; false, too, for what cannot be a path at all."""
    return not file_problem(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write under: it takes the place of ``path`` when all is written, and else is gone."""
    temporary = path.with_name(path.name + ".part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):  # the first error is the one to be told
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder's name beside ``path``, which is not there yet, as ``whole_file`` gives a file's.

    Nothing has that name at first, nor afterwards: what a run left there that was killed is removed.
    """
    temporary = path.with_name(path.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        yield temporary
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_json(path: Path) -> Any:
    """The JSON in the file ``path``; raises OSError, or ValueError for what is none of ours."""
    if path.stat().st_size > _JSON:
        raise ValueError(f"it has more than {_JSON >> 20} MiB")
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """The value that ``text`` describes, of finite numbers; raises ValueError."""
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
