# SPDX-License-Identifier: Apache-2.0
"""Zip archives whose directory is bounded: ``zipfile`` makes an object of some hundred bytes of every entry at once."""

from __future__ import annotations

import zipfile
from typing import IO


class LongDirectoryError(ValueError):
    """An archive of more entries than it may have."""


def open_zip(file: IO[bytes], longest: int) -> zipfile.ZipFile:
    """The archive in ``file``, whose directory has at most ``longest`` bytes (about 50 and a name for each entry).

    Raises LongDirectoryError before it reads a longer one, and whatever zipfile raises for what is no archive.
    """
    bounded = _Bounded(file, longest)
    archive = zipfile.ZipFile(bounded)  # which seeks, tells and reads
    bounded.longest = None
    return archive


class _Bounded:
    """A file of which at most ``longest`` bytes are read at once."""

    def __init__(self, file: IO[bytes], longest: int) -> None:
        self.seek, self.tell, self.seekable, self._file = file.seek, file.tell, file.seekable, file
        self.longest: int | None = longest

    def read(self, length: int = -1) -> bytes:
        if self.longest is not None and length > self.longest:
            raise LongDirectoryError(f"its zip archive has a directory of {length} bytes, more than {self.longest}")
        return self._file.read(length)
