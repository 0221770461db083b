# SPDX-License-Identifier: Apache-2.0
"""Pictures in the form that Blender's images take: float32 RGBA, bottom row first, flat. And passes as arrays."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.messages import LEANS, Frame, MatteName, PassName
from effigy_protocol.png import write_rgb

Pixels = NDArray[np.float32]
Maps = tuple[Pixels, Pixels]  # of normals and light, as a Surface holds them
Passes = dict[PassName, NDArray[np.float16]]
Words = NDArray[np.uint16]

SURFACE_PASSES: tuple[PassName, ...] = ("normal", "light")  # of which a Surface is made
BRIGHTEST = 4.0  # of a Surface's light
_WHOLE = np.float32(65535)

_Whole = TypeVar("_Whole", np.uint8, np.uint16)

_YELLOW = (1.0, 0.82, 0.0, 1.0)
_BLACK = (0.02, 0.02, 0.02, 1.0)
_RED = (0.85, 0.0, 0.1, 1.0)


class Buffers:
    """Arrays of pixels for reuse, because clearing a new one takes longer than filling it: of 256 × 256 pixels .5 ms.

    Safe to use from several threads.
    """

    _KEPT = 6  # a picture and its two maps are written while others are shown

    def __init__(self) -> None:
        self._spare: queue.SimpleQueue[Pixels] = queue.SimpleQueue()

    def take(self, length: int) -> Pixels:
        """Returns an array of ``length`` undefined values, for the caller alone until it gives it back."""
        with contextlib.suppress(queue.Empty):
            while True:  # what has another length belongs to a model that is gone
                spare = self._spare.get_nowait()
                if len(spare) == length:
                    return spare
        return np.empty(length, np.float32)

    def give(self, arrays: Iterable[Pixels]) -> None:
        """Takes back arrays that nobody uses any more."""
        for pixels in arrays:
            if self._spare.qsize() < self._KEPT:
                self._spare.put(pixels)


def from_rgba8(
    data: bytes | memoryview, height: int, width: int, *, doubled: bool = False, buffers: Buffers | None = None
) -> Pixels:
    """Converts bytes of a picture, top row first, to flat float32 values, bottom row first, in one of ``buffers``.

    ``doubled`` interpolates it to twice the height and width, for pictures that were painted at half size.
    """
    values = np.frombuffer(data, dtype=np.uint8).reshape(height, width, 4)[::-1]
    if doubled:
        values = _twice(_twice(values, 0), 1)
    filled = _empty(values.size, buffers)
    np.multiply(values, np.float32(1 / 255), out=filled.reshape(values.shape), dtype=np.float32)
    return filled


def _empty(length: int, buffers: Buffers | None) -> Pixels:
    return np.empty(length, np.float32) if buffers is None else buffers.take(length)


@dataclass(frozen=True, slots=True)
class Surface:
    """The two maps that relighting a picture needs, of 16 bits in memory and in files.

    Each is [height, width, 4], bottom row first and opaque, as Blender's images are, so that showing it is fast.
    """

    normal: Words  # in the picture's camera frame, 0 … 65535 for −1 … 1
    light: Words  # the smooth light that is in the picture, linear Rec.709, 0 … 65535 for 0 … BRIGHTEST

    @classmethod
    def of(cls, frame: Frame, matte: MatteName) -> Surface | None:
        """Returns the surface that a picture asked for as lit, with this ``matte``, brings, in full size, or None for
        other pictures.
        """
        passes = passes_of(frame)
        if not passes.keys() >= set(SURFACE_PASSES):
            return None
        normal, light = (passes[name].astype(np.float32) for name in SURFACE_PASSES)
        # Painted normals are times alpha, and noise beside the head. The shorter they are, the more they lean to the
        # viewer, as those do on which the backend computed the light.
        lean, rate = map(np.float32, LEANS[matte])
        normal[..., 2] += np.maximum(lean - rate * np.linalg.norm(normal, axis=-1), np.float32(1e-3))
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        maps = _words(0.5 * normal + 0.5), _words(light / BRIGHTEST)
        return cls(*((_twice(_twice(each, 0), 1) for each in maps) if frame.half else maps))

    def pixels(self, buffers: Buffers | None = None) -> Maps:
        """Returns both maps as flat float32 values, as Blender reads them in files, in two of ``buffers``."""
        return _divided(self.normal, buffers), _divided(self.light, buffers)

    @property
    def nbytes(self) -> int:
        return self.normal.nbytes + self.light.nbytes


def _words(values: NDArray[np.float32]) -> Words:
    """Returns a Surface's map of values [H, W, 3] in 0 … 1, top row first."""
    words = np.full((*values.shape[:2], 4), 65535, np.uint16)
    words[..., :3] = values[::-1].clip(0, 1) * _WHOLE + np.float32(0.5)
    return words


def _divided(words: Words, buffers: Buffers | None) -> Pixels:
    filled = _empty(words.size, buffers)
    np.divide(words, _WHOLE, out=filled.reshape(words.shape), dtype=np.float32)
    return filled


def words_png(words: Words) -> bytes:
    """Returns a Surface's map as a PNG file of 16 bits."""
    height, width, _ = words.shape
    return write_rgb(words[::-1, :, :3].astype(">u2").tobytes(), width, height, bits=16)


def _twice(values: NDArray[_Whole], axis: int) -> NDArray[_Whole]:
    """Returns twice as many values along ``axis``, interpolated linearly.

    Each value a gives two, a quarter of a step before and behind it: (3 a + b) / 4 with its neighbour b on that side.
    """
    wide = np.uint16 if values.dtype == np.uint8 else np.uint32
    lines: NDArray[np.uint32] = np.moveaxis(values, axis, 0).astype(wide)
    before, behind = lines[[0, *range(len(lines) - 1)]], lines[[*range(1, len(lines)), -1]]
    out = np.empty((2 * len(lines), *lines.shape[1:]), values.dtype)
    out[0::2], out[1::2] = (3 * lines + before + 2) >> 2, (3 * lines + behind + 2) >> 2
    return np.moveaxis(out, 0, axis)


def passes_of(frame: Frame) -> Passes:
    """Returns the passes in a frame, by name: [height, width, channels], top row first; see ``Frame``."""
    return {
        name: np.frombuffer(array.data, dtype="<f2").reshape(array.shape).view(np.float16)
        for name, array in frame.passes.items()
    }


_LONGEST = 2048  # pixels of a photograph: its face may be a small part of it
_GREY = np.float32(0.5)  # behind what is transparent


def to_png(pixels: Pixels, height: int, width: int, *, linear: bool = False, longest: int = _LONGEST) -> bytes:
    """Encodes flat float32 RGBA, bottom row first, over grey as a PNG file with sides of at most ``longest`` pixels.

    ``linear``: the values are linear light, as in Blender's images of more than 8 bits; otherwise they are sRGB.
    """
    step = max(1, min(-(-max(height, width) // longest), height, width))  # of a thin strip something is left
    h, w = height // step, width // step
    whole = pixels.reshape(height, width, 4)[::-1][: h * step, : w * step]
    picture = whole.reshape(h, step, w, step, 4).mean(axis=(1, 3)) if step > 1 else whole
    colours, alpha = np.clip(picture[..., :3], 0, 1), np.clip(picture[..., 3:], 0, 1)
    if linear:  # IEC 61966-2-1
        colours = np.where(colours <= 0.0031308, 12.92 * colours, 1.055 * colours ** (1 / 2.4) - 0.055)
    shown = np.rint(255 * (colours * alpha + _GREY * (1 - alpha)))
    return write_rgb(shown.astype(np.uint8).tobytes(), w, h)


def error_picture(height: int, width: int) -> Pixels:
    """Returns hazard stripes with a red cross, which cannot be mistaken for a face, in colour or in grey."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.where((((x + y) * 8).astype(int) % 2 == 0)[..., None], _YELLOW, _BLACK)
    cross = (abs(x - y) < 0.05) | (abs(x + y - height / max(height, width)) < 0.05)
    picture[cross] = _RED
    return picture.astype(np.float32).reshape(-1)
