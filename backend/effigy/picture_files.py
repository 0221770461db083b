# SPDX-License-Identifier: Apache-2.0
"""Reads pictures that users give: PNG, JPEG and WebP, turned upright, as RGB, within a fixed memory limit."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from effigy_protocol.files import file_problem

_FORMATS = ("PNG", "JPEG", "WEBP")
_MOST_BYTES = 64 << 20
_MOST_PIXELS = 64_000_000  # 192 MB in RGB; cameras of telephones make 50 million
_MOST_WEBP_PIXELS = 24_000_000  # its decoder takes 20 bytes for each, however short the file
_LARGEST = 2048  # pixels of a side: faces are found and read at 256, so that more tells nothing
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I")  # modes of grey


class PictureFileError(Exception):
    """A picture that cannot be read; the message says why, and what to do."""


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Reads the picture in a file, [H, W, 3], like ``decode_picture``. Raises PictureFileError."""
    return decode_picture(read_picture_file(path), str(path))


def read_picture_file(path: Path) -> bytes:
    """Reads the bytes of a picture's file. Raises PictureFileError if there are too many."""
    if problem := file_problem(path, "picture"):
        raise PictureFileError(problem)
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise PictureFileError(f"{path} has {size >> 20} MiB, more than a picture may have ({_MOST_BYTES >> 20})")
        return path.read_bytes()
    except OSError as error:
        raise PictureFileError(f"{path} cannot be read ({error.strerror})") from None


def decode_picture(data: bytes | memoryview, name: str = "the picture", largest: int = _LARGEST) -> NDArray[np.uint8]:
    """Decodes a PNG, JPEG or WebP to [H, W, 3], at most ``largest`` pixels a side, upright by its EXIF orientation.

    The size is checked in the header, before anything is decoded. Raises PictureFileError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd but intact files
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                most = _MOST_WEBP_PIXELS if image.format == "WEBP" else _MOST_PIXELS
                if width * height > most:
                    raise PictureFileError(
                        f"{name} is {width} × {height} pixels, more than {most // 10**6} million: make it smaller"
                    )
                return _upright_rgb(image, largest)
    except PictureFileError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureFileError(f"{name} would take too much memory ({str(error)[:80]}): make it smaller") from None
    except UnidentifiedImageError:
        raise PictureFileError(f"{name} is no PNG, JPEG or WebP: save it as one of them") from None
    except MemoryError:
        raise PictureFileError(f"{name} does not fit into the memory that is free") from None
    except Exception as error:  # noqa: BLE001 broken bytes lead a decoder to errors of any kind
        raise PictureFileError(f"{name} is damaged ({str(error)[:80]}): save it again") from None


def _upright_rgb(image: Image.Image, largest: int) -> NDArray[np.uint8]:
    image.draft("RGB", (largest, largest))  # of a JPEG no more is decoded than is needed
    image.load()
    turned = ImageOps.exif_transpose(image)
    if turned.mode in _SIXTEEN_BITS:
        turned = Image.fromarray((np.asarray(turned) >> 8).clip(0, 255).astype(np.uint8))
    colours = turned.convert("RGB")
    colours.thumbnail((largest, largest), Image.Resampling.BOX, reducing_gap=None)
    return np.array(colours, np.uint8)
