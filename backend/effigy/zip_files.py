# SPDX-License-Identifier: Apache-2.0
"""Zip archives with a bounded directory: for every entry ``zipfile`` allocates an object of some hundred bytes at
once.
"""

from __future__ import annotations

import zipfile
from typing import IO


class LongDirectoryError(ValueError):
    """An archive with more entries than allowed."""


def open_zip(file: IO[bytes], longest: int) -> zipfile.ZipFile:
    """Opens the archive in ``file`` if its directory has at most ``longest`` bytes (about 50 and the name for each
    entry).

    Raises LongDirectoryError before it reads a longer directory, and what zipfile raises for a file that is not an
    archive.
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
