# SPDX-License-Identifier: Apache-2.0
"""Files whose names users give: says what is wrong with one before it is opened, bounds what is read, and writes files
whole or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_SHOWN = 300  # characters of a path
_JSON = 16 << 20  # bytes
_ANY, _FOLDER = "file", "a folder"
_NAME = 255  # bytes of a file's name, of which file systems allow no more


def file_problem(path: Path, what: str = _ANY) -> str:
    """Says why ``path`` cannot be read as a file, or returns "" if it can.

    Only regular files can: reading a pipe or a device might never end. ``what`` it is to be tells what to give instead
    of a folder.
    """
    shown = str(path) if len(str(path)) <= _SHOWN else f"{str(path)[:_SHOWN]}…"
    try:
        kind = _other_kind(path)
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no {what} {shown}"
    except (OSError, ValueError) as error:  # a name that is too long, has a zero in it, or leads into a circle
        return f"{shown} cannot be a {what} ({getattr(error, 'strerror', None) or error})"
    if kind == _FOLDER and what != _ANY:
        return f"{shown} is a folder: give the {what} in it"
    return f"{shown} is {kind}" if kind else ""


def is_file(path: Path) -> bool:
    """Returns whether ``path`` is a regular file; also false for a string that cannot be a path."""
    return not file_problem(path)


def is_folder(path: Path) -> bool:
    """Returns whether ``path`` is a folder; also false for a string that cannot be a path."""
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, or in a folder that may not be looked into
        return False


def is_there(path: Path) -> bool:
    """Returns whether there is anything at ``path``; also false for a string that cannot be a path."""
    try:
        return path.exists()
    except OSError:  # as for ``is_folder``
        return False


def check_regular(path: Path) -> None:
    """Raises OSError unless ``path`` is a regular file. Reading a pipe or a device could block Blender for ever."""
    try:
        kind = _other_kind(path)
    except ValueError as error:  # no path at all
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    if kind:
        raise OSError(errno.EINVAL, f"it is {kind}", str(path))


def _other_kind(path: Path) -> str:
    """Returns what ``path`` is, or "" for a regular file. Raises OSError, or ValueError if it cannot be a path."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return _FOLDER
    return "" if stat.S_ISREG(mode) else "a pipe or a device, and no regular file"


class LargeFileError(ValueError):
    """A file that is larger than it may be."""


def read_bytes(path: Path, most: int) -> bytes:
    """Reads a regular file of at most ``most`` bytes. Raises LargeFileError, OSError, or ValueError."""
    check_regular(path)
    if (size := path.stat().st_size) > most:
        raise LargeFileError(f"it has {size} bytes, more than {most}")
    return path.read_bytes()


def digest(path: Path) -> str:
    """Returns the sha256 of a file, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, most: int = _JSON) -> Any:
    """Reads JSON with finite numbers from a file of at most ``most`` bytes. Raises OSError, or ValueError."""
    check_regular(path)
    if path.stat().st_size > most:
        raise ValueError(f"it has more than {most >> 20} MiB")
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """Parses JSON with finite numbers, and objects that have each name once. Raises ValueError for anything else."""
    try:
        return json.loads(
            text, parse_constant=_finite, parse_float=_finite, parse_int=_whole, object_pairs_hook=_object
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # readers differ in which of the values they take
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the name {name[:40]!r} stands twice in it")
    return found


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def beside(path: Path, suffix: str) -> Path:
    """Returns the path of a file that belongs to ``path`` for a while: its name, short enough, and ``suffix``."""
    return path.parent / (short_name(path.name, _NAME - len(os.fsencode(suffix))) + suffix)


def short_name(name: str, most: int) -> str:
    """Returns ``name``, or where it has more than ``most`` bytes its beginning and a hash of 16 digits of all of it.

    So names that differ at their ends alone stay apart.
    """
    raw = os.fsencode(name)
    if len(raw) <= most:
        return name
    return f"{raw[: most - 17].decode(errors='ignore')}-{hashlib.sha256(raw).hexdigest()[:16]}"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside ``path`` to write to. On success it replaces ``path``; on an error it is
    removed. Raises OSError where either is there already and no file, or the temporary one a link.
    """
    temporary = beside(path, ".part")
    if path.exists():
        check_regular(path)  # a device would be lost
    if temporary.is_symlink() or (temporary.exists() and not temporary.is_file()):  # a pipe may never be read
        raise OSError(errno.EINVAL, f"{temporary.name} is in its way: remove that", str(path))
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:  # after a success the name may be another writer's
        with suppress(OSError):  # the first error is the one to be told
            temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes ``path`` so that it holds either the old or the whole new content at any time; text as UTF-8.

    Raises OSError that names ``path``, and leaves no temporary file.
    """
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


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
    with scratch_folder(beside(path, ".part")) as temporary:
        yield temporary
        temporary.rename(path)


def remove_older(paths: Iterable[Path], kept: int, beside: Callable[[Path], Path]) -> None:
    """Removes all but the ``kept`` newest files, and the file ``beside`` each. What cannot be removed stays."""
    oldest_first = sorted(paths, key=_age)
    for path in oldest_first[: max(len(oldest_first) - kept, 0)]:
        for file in (path, beside(path)):
            with suppress(OSError):  # Windows keeps a file that is still written
                file.unlink(missing_ok=True)


def _age(path: Path) -> float:
    with suppress(OSError):  # another process may remove it just now
        return path.stat().st_mtime
    return 0.0
