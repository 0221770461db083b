# SPDX-License-Identifier: Apache-2.0
"""Exact pictures kept in memory by what they were made from, so that scrubbing back asks for nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.record import what_differs

from .limits import Limits
from .pixels import Buffers, Maps, Pixels, Surface

Bytes = NDArray[np.uint8]

LIMIT = 512 << 20  # bytes: 300 frames of 512 × 512


class Remembered(NamedTuple):
    """A picture in the form of Blender's images, what it shows less of than was asked, and its maps for relighting."""

    pixels: Pixels
    limits: Limits
    maps: Maps | None


@dataclass(frozen=True, slots=True)
class _Stored:
    """A picture in memory, as bytes: a quarter of the size that it has as float32 in Blender's images."""

    rows: Bytes  # RGBA, bottom row first
    limits: Limits
    surface: Surface | None

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + (self.surface.nbytes if self.surface is not None else 0)


class PictureMemory:
    """Pictures as RGBA bytes, bottom row first; the least recently used is dropped first."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.size = 0
        self._pictures: OrderedDict[Hashable, _Stored] = OrderedDict()
        self._buffers = Buffers()

    def resize(self, limit: int) -> None:
        """Holds at most ``limit`` bytes from now on."""
        self.limit = limit
        self._make_room()

    def __len__(self) -> int:
        return len(self._pictures)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._pictures

    def touch(self, key: Hashable) -> bool:
        """Returns whether the picture is there, and counts it as used."""
        if key in self._pictures:
            self._pictures.move_to_end(key)
        return key in self._pictures

    def put(
        self,
        key: Hashable,
        rgba: bytes | memoryview,
        height: int,
        width: int,
        limits: Limits = Limits(),
        surface: Surface | None = None,
    ) -> None:
        """Keeps a picture given top row first, as the service sends it, with what it shows less of than was asked and
        its maps for relighting.
        """
        rows = np.frombuffer(rgba, dtype=np.uint8).reshape(height, width * 4)[::-1].copy()
        self._forget(key)
        self._pictures[key] = stored = _Stored(rows, limits, surface)
        self.size += stored.nbytes
        self._make_room()

    def get(self, key: Hashable) -> Remembered | None:
        """Returns a picture as Blender's images have it, and what came with it; or None."""
        if not self.touch(key):
            return None
        stored = self._pictures[key]
        pixels = self._buffers.take(stored.rows.size)
        np.multiply(stored.rows, np.float32(1 / 255), out=pixels.reshape(stored.rows.shape), dtype=np.float32)
        maps = stored.surface.pixels(self._buffers) if stored.surface is not None else None
        return Remembered(pixels, stored.limits, maps)

    def give_back(self, shown: Remembered) -> None:
        """Takes back the arrays of a picture that ``get`` returned and that nobody uses any more."""
        self._buffers.give((shown.pixels, *(shown.maps or ())))

    def clear(self) -> None:
        self._pictures.clear()
        self.size = 0

    def _make_room(self) -> None:
        while self.size > self.limit and len(self._pictures) > 1:
            self._forget(next(iter(self._pictures)))

    def _forget(self, key: Hashable) -> None:
        stored = self._pictures.pop(key, None)
        if stored is not None:
            self.size -= stored.nbytes


class CachedRange:
    """Notes which frames of a face were painted into the memory, and from what."""

    def __init__(self) -> None:
        self.state = ""  # of the frame that was compared: "fresh", "stale", or "" where it was not painted
        self.differs: list[str] = []  # what a stale one has another of
        self._made_from: dict[int, tuple[Hashable, dict[str, Any]]] = {}

    def __len__(self) -> int:
        return len(self._made_from)

    def keep(self, frame: int, key: Hashable, values: dict[str, Any]) -> None:
        """Notes that ``frame`` is in memory under ``key``; ``values`` is what it was made from, by name."""
        self._made_from[frame] = key, values

    def compare(self, frame: int, key: Hashable, values: dict[str, Any], memory: PictureMemory) -> None:
        """Compares what ``frame`` was painted from with what it is asked for now."""
        kept, before = self._made_from.get(frame, (None, {}))
        self.state, self.differs = "", []
        if kept is None:
            return
        if kept != key:
            self.state, self.differs = "stale", what_differs(before, values)
        elif key in memory:  # else other frames have taken its place
            self.state = "fresh"
