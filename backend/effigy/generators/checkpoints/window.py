# SPDX-License-Identifier: Apache-2.0
"""Parts of a file as streams, and what reading all of them may cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from ..errors import MalformedError

_TEXT = 1 << 20  # bytes: what is longer stays in the file
_STEPS = 300_000  # operations of all pickles in a file; the largest snapshots take some 100 000
_COPIES = 8  # times a file's size: what may be copied out of it. Loading copies each number once or twice


@dataclass(slots=True)
class Budget:
    """What reading a file of ``size`` bytes may still cost, all of its pickles and tensors together."""

    size: int
    steps: int = _STEPS
    copies: int = field(init=False)

    def __post_init__(self) -> None:
        self.copies = _COPIES * self.size + _TEXT

    def step(self) -> None:
        """Counts one operation of a pickle; raises MalformedError for one too many."""
        self.steps -= 1
        if self.steps < 0:
            raise MalformedError("it has more operations than weights need")

    def copy(self, length: int) -> None:
        """Counts ``length`` bytes copied from the file; raises MalformedError when they are read again and again."""
        self.copies -= length
        if self.copies < 0:
            raise MalformedError("its tensors are many times larger than the file, which they share")


class Window:
    """A part of a file as a stream that ends where the part ends, and steps over what is long."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file = file
        self._position = start  # counted here: asking the system at every operation is half of the cost
        self._end = end
        self.skipped: int | None = None  # where the bytes begin that the last reading stepped over
        file.seek(start)

    def tell(self) -> int:
        return self._position

    def remaining(self) -> int:
        return self._end - self._position

    def skip(self, length: int) -> None:
        """Steps over ``length`` bytes, which must be there."""
        self._position += length
        self._file.seek(self._position)

    def read(self, length: int) -> bytes:
        if length > self.remaining():
            raise MalformedError(f"{length} bytes are announced where {self.remaining()} are left")
        if length > _TEXT:
            self.skipped = self._position
            self.skip(length)
            return _Skipped(length)
        self._position += length
        return self._file.read(length)

    def readline(self) -> bytes:
        line = self._file.readline(min(self.remaining(), _TEXT))
        self._position += len(line)
        if b"\\" in line:  # of a quoted text, which is of a kind that nobody writes any more
            raise MalformedError("a name in it has a backslash")
        return line


class _Skipped(bytes):
    """Stands for bytes that stay in the file: pickletools asks for their number, or decodes them (to nothing)."""

    _length: int

    def __new__(cls, length: int) -> _Skipped:
        skipped = super().__new__(cls)
        skipped._length = length
        return skipped

    def __len__(self) -> int:
        return self._length
