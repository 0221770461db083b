# SPDX-License-Identifier: Apache-2.0
"""FlatBuffers, the format of .tflite files: tables whose fields are found by number, every offset checked.

A table begins with the distance back to its vtable: uint16 sizes of vtable and table, then for each field the uint16
offset from the table's start, 0 for a field that has its default. Vectors and tables are referred to by a uint32
distance onwards; a vector begins with its uint32 length. All is little-endian.
(https://flatbuffers.dev/internals)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class TFLiteError(ValueError):
    """A file that is not a TensorFlow Lite network, is damaged, or uses something unsupported; the message says
    which.
    """


@dataclass(frozen=True, slots=True)
class Table:
    """The table at byte ``at`` of ``data``. Every method raises TFLiteError if the file is too short."""

    data: bytes
    at: int

    @staticmethod
    def root(data: bytes, identifier: bytes) -> Table:
        """Returns the root table of a file with the given ``identifier``."""
        if data[4:8] != identifier:
            raise TFLiteError(f"it does not begin as a TensorFlow Lite model does (no {identifier.decode()})")
        return Table(data, _unpack("<I", data, 0))

    def scalar(self, field: int, code: str, default: float = 0) -> Any:
        """Returns a number; ``code`` is its type in the letters of the ``struct`` module."""
        where = self._field(field)
        return default if where is None else _unpack("<" + code, self.data, where)

    def table(self, field: int) -> Table | None:
        where = self._field(field)
        return None if where is None else Table(self.data, self._follow(where))

    def tables(self, field: int, most: int) -> list[Table]:
        """Returns a vector of at most ``most`` tables; an absent field is empty."""
        where = self._field(field)
        if where is None:
            return []
        start, count = self._vector(where, 4, most)
        return [Table(self.data, self._follow(start + 4 * i)) for i in range(count)]

    def array(self, field: int, dtype: Any, most: int) -> NDArray[Any]:
        """Returns a vector of at most ``most`` numbers as a view of the file; an absent field is empty."""
        where = self._field(field)
        if where is None:
            return np.zeros(0, dtype)
        start, count = self._vector(where, np.dtype(dtype).itemsize, most)
        return np.frombuffer(self.data, np.dtype(dtype).newbyteorder("<"), count, start)

    def _field(self, field: int) -> int | None:
        """Returns where in the file a field's value lies; None where it has its default."""
        vtable = self.at - _unpack("<i", self.data, self.at)
        position = 4 + 2 * field
        if position + 2 > _unpack("<H", self.data, vtable):
            return None
        offset = _unpack("<H", self.data, vtable + position)
        return self.at + offset if offset else None

    def _follow(self, where: int) -> int:
        return where + int(_unpack("<I", self.data, where))

    def _vector(self, where: int, item: int, most: int) -> tuple[int, int]:
        """Returns where a vector's items begin, and how many there are."""
        start = self._follow(where)
        count = _unpack("<I", self.data, start)
        if count > most or start + 4 + count * item > len(self.data):
            raise TFLiteError(f"it is damaged: a list of {count} items at byte {start}")
        return start + 4, count


def _unpack(code: str, data: bytes, at: int) -> Any:
    if not 0 <= at <= len(data) - struct.calcsize(code):
        raise TFLiteError(f"it is damaged: it refers to byte {at} of {len(data)}")
    return struct.unpack_from(code, data, at)[0]
