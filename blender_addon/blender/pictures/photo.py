# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the backend read photographs, and keeps the results for a redo."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from effigy_client.errors import RequestError
from effigy_client.face import Anchor, Identities
from effigy_client.long_work import LongWork, read_picture
from effigy_client.pixels import to_png
from effigy_protocol import MAX_FILE_BYTES
from effigy_protocol.files import check_regular
from effigy_protocol.messages import PictureRead

from ..translation import rpt_
from .activity import changes
from .runs import anchor_of, run_of

_REMEMBERED = 16  # readings: a redo with another strength asks for nothing
_FILES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # how files begin that the backend reads

_Key = tuple[bytes, int, Anchor, bool]
_memory: OrderedDict[_Key, PictureRead] = OrderedDict()


class PictureError(Exception):
    """A picture that cannot be given to the backend; the message says why."""


def of_file(path: Path) -> bytes:
    """Reads a picture's file. Raises PictureError, also if it is larger than a request can carry."""
    try:
        check_regular(path)
        _check_size(path.stat().st_size, path)
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(rpt_("{} cannot be read: {}", path, error.strerror or error)) from None
    if not data.startswith(_FILES):
        data = _opened_by_blender(path)
        _check_size(len(data), path)
    return data


def is_readable(path: Path) -> bool:
    """Returns whether the backend reads such a file itself. Raises OSError."""
    with path.open("rb") as file:
        return file.read(8).startswith(_FILES)


def _check_size(size: int, path: Path) -> None:
    """Raises PictureError."""
    if size > MAX_FILE_BYTES:
        raise PictureError(rpt_("{} has {} MiB, more than {}", path.name, size >> 20, MAX_FILE_BYTES >> 20))


def _opened_by_blender(path: Path) -> bytes:
    """Has Blender open a file of another kind, which it may know."""
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError:
        raise PictureError(rpt_("{} is no picture that can be read", path.name)) from None
    try:
        return of_image(image)
    except PictureError:
        raise PictureError(rpt_("{} is no picture that can be read", path.name)) from None
    finally:
        bpy.data.images.remove(image)


def of_image(image: Any) -> bytes:
    """Encodes an image of Blender as a file. Raises PictureError."""
    if image.type == "RENDER_RESULT":
        return _rendered(image)
    width, height = image.size
    if not image.has_data and not (width and height):
        raise PictureError(rpt_("the picture {} is empty", image.name))
    values = np.empty(width * height * image.channels, np.float32)
    if not len(values) or len(image.pixels) != len(values):
        raise PictureError(rpt_("the picture {} is empty", image.name))
    image.pixels.foreach_get(values)
    return to_png(_rgba(values, image.channels), height, width, linear=image.is_float)


def _rgba(values: np.ndarray, channels: int) -> np.ndarray:
    """Converts flat pixels of 1 to 4 channels to flat RGBA."""
    if channels == 4:
        return values
    parts = values.reshape(-1, channels)
    filled = np.ones((len(parts), 4), np.float32)
    filled[:, :3] = parts[:, :3] if channels == 3 else parts[:, :1]
    return filled.reshape(-1)


def _rendered(image: Any) -> bytes:
    """Returns the last render as a file, because Blender gives its pixels to files alone."""
    path = Path(bpy.app.tempdir) / "effigy-render.png"
    try:
        image.save_render(str(path))
        return path.read_bytes()
    except (RuntimeError, OSError):
        raise PictureError(rpt_("there is no render yet: render the picture first")) from None
    finally:
        path.unlink(missing_ok=True)


class Reading:
    """Reads a picture for one face, and perhaps one of the same person at rest."""

    def __init__(self, proxy: bpy.types.Object, pictures: list[tuple[bytes, int]], *, painted: bool) -> None:
        """``pictures``: each file, and which of its faces is meant, 1 being the largest."""
        self._follower = run_of(proxy).follower
        self._face = self._follower.face
        self._anchor = anchor_of(proxy)
        self._keys: list[_Key] = [
            (hashlib.sha256(data).digest(), face, self._anchor, painted) for data, face in pictures
        ]
        self._data = {key: data for key, (data, _) in zip(self._keys, pictures, strict=True)}
        self._works: dict[_Key, LongWork[PictureRead]] = {}
        self._found: dict[_Key, PictureRead] = {}

    def poll(self, identities: Identities) -> list[PictureRead] | None:
        """Returns what the pictures show, in order; None until all are read. Never blocks. Raises RequestError."""
        with self._noting_errors():
            for key in self._missing():
                if key in self._works:
                    self._remember(key, self._works[key].poll())
                elif self._face.key:
                    self._begin(key, identities)
                elif self._face.poll(identities, self._anchor):  # which the preview had not opened yet
                    self._follower.begin_anew()
                    changes.mark()
        return None if self._missing() else [self._found[key] for key in self._keys]

    def wait(self, identities: Identities, seconds: float) -> list[PictureRead]:
        """Waits until all are read; returns what ``poll`` does. Raises RequestError."""
        with self._noting_errors():
            for key in self._missing():
                self._face.open_now(identities, self._anchor)
                self._begin(key, identities)
                self._remember(key, self._works[key].wait(seconds))
        return [self._found[key] for key in self._keys]

    def cancel(self) -> None:
        """Cancels the reading."""
        for work in self._works.values():
            work.cancel()

    def _missing(self) -> list[_Key]:
        self._found.update({key: _memory[key] for key in self._keys if key in _memory})
        return [key for key in self._keys if key not in self._found]

    @contextmanager
    def _noting_errors(self) -> Iterator[None]:
        """Notes errors within it, so that an identity that the backend has forgotten is opened again the next time."""
        try:
            yield
        except RequestError as error:
            self._face.note(error)
            raise

    def _begin(self, key: _Key, identities: Identities) -> None:
        _, face, _, painted = key
        self._works[key] = read_picture(identities.link, self._data[key], face, self._face.key, painted=painted)

    def _remember(self, key: _Key, read: PictureRead | None) -> None:
        if read is not None:
            self._found[key] = _memory[key] = read
        while len(_memory) > _REMEMBERED:
            _memory.popitem(last=False)
