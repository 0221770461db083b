# SPDX-License-Identifier: Apache-2.0
"""Writes files whole or not at all, and reads only regular files of bounded size."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import stat
from pathlib import Path
from typing import Any

_JSON = 64 << 20  # bytes: the side-car of a hundred thousand baked frames


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes ``path`` so that it holds either the old or the whole new content at any time; text as UTF-8.

    Raises OSError that names ``path``, and leaves no temporary file.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def check_regular(path: Path) -> None:
    """Raises OSError unless ``path`` is a regular file. Reading a pipe or a device could block Blender for ever."""
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # no path at all
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    if not stat.S_ISREG(mode):
        kind = "it is a folder" if stat.S_ISDIR(mode) else "it is a pipe or a device, and no regular file"
        raise OSError(errno.EINVAL, kind, str(path))


class LargeFileError(ValueError):
    """A file that is larger than it may be."""


def read_bytes(path: Path, most: int) -> bytes:
    """Reads a regular file of at most ``most`` bytes. Raises LargeFileError, OSError, or ValueError."""
    check_regular(path)
    if (size := path.stat().st_size) > most:
        raise LargeFileError(f"it has {size} bytes, more than {most}")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """Reads JSON with finite numbers from a file. Raises OSError, or ValueError for anything else."""
    check_regular(path)
    if path.stat().st_size > _JSON:
        raise ValueError(f"it has more than {_JSON >> 20} MiB")
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """Parses JSON with finite numbers. Raises ValueError for anything else."""
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)
