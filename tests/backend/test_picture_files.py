# SPDX-License-Identifier: Apache-2.0
"""Pictures that people give: any kind of PNG, JPEG and WebP, upright; and nothing that would take too much."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from effigy.picture_files import PictureFileError, decode_picture, read_picture

RED_AND_BLUE = np.zeros((20, 30, 3), np.uint8)
RED_AND_BLUE[:10, :, 0] = RED_AND_BLUE[10:, :, 2] = 200


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "LA", "1"])
def test_every_kind_of_colour_becomes_rgb(mode):
    image = Image.fromarray(RED_AND_BLUE).convert(mode)
    picture = decode_picture(encoded(image, "JPEG" if mode == "CMYK" else "PNG"))
    if mode in ("RGB", "RGBA"):
        assert np.array_equal(decode_picture(encoded(image, "WEBP", lossless=True)), RED_AND_BLUE)
    assert picture.shape == (20, 30, 3)
    assert picture.dtype == np.uint8
    if mode not in ("L", "LA", "1"):
        assert np.abs(picture.astype(int) - RED_AND_BLUE).max() < 60


def test_sixteen_bits_keep_their_brightness():
    deep = np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)
    picture = decode_picture(encoded(Image.fromarray(deep)))
    assert np.abs(picture[..., 0].astype(int) - (deep >> 8)).max() <= 1


def test_sixteen_bits_take_no_more_memory_than_colours():
    """A few kilobytes may be a picture of many pixels."""
    data = encoded(Image.new("I;16", (3000, 3000), 40_000))
    tracemalloc.start()
    try:
        decode_picture(data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * 3000 * 3000, "bytes, of NumPy's arrays"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_the_way_up_that_their_camera_says(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode_picture(encoded(Image.fromarray(RED_AND_BLUE), "JPEG", exif=exif, quality=95))
    assert picture.shape == ((20, 30, 3) if orientation < 5 else (30, 20, 3))
    # A pixel of the edge that was stored as the upper one, by orientation.
    red = {1: (2, 10), 2: (2, 10), 3: (17, 10), 4: (17, 10), 5: (10, 2), 6: (10, 17), 7: (10, 17), 8: (10, 2)}
    assert picture[red[orientation]][0] > 150


def test_large_pictures_come_smaller():
    picture = decode_picture(encoded(Image.new("RGB", (5000, 2500), (10, 20, 30)), "JPEG"))
    assert picture.shape == (1024, 2048, 3)
    assert np.abs(picture.astype(int) - [10, 20, 30]).max() < 4


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that says it is so large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(8001, 8001), (20_000, 20_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)])
def test_decompression_bombs_are_refused_by_their_header(size):
    with pytest.raises(PictureFileError, match="make it smaller|damaged"):
        decode_picture(bomb(*size))


def test_a_webp_of_too_many_pixels_is_refused_by_its_header():
    data = bytearray(encoded(Image.new("RGBA", (64, 64)), "WEBP", exif=b"Exif"))
    assert data[12:16] == b"VP8X", "whose header says how large it is"
    data[24:30] = (16_382).to_bytes(3, "little") * 2
    with pytest.raises(PictureFileError, match="make it smaller"):
        decode_picture(bytes(data))


def test_a_short_webp_of_too_many_pixels_is_refused_by_its_header():
    """Some 34 bytes are a picture of one colour of any size, and decoding takes 20 bytes for each of its pixels."""
    data = bytearray(encoded(Image.new("RGB", (64, 64), (1, 2, 3)), "WEBP", lossless=True))
    assert data[12:16] == b"VP8L", "whose header says how large it is"
    flags = int.from_bytes(data[21:25], "little") >> 28 << 28
    for side in (5000, 16_383):
        data[21:25] = (flags | side - 1 << 14 | side - 1).to_bytes(4, "little")
        with pytest.raises(PictureFileError, match="make it smaller"):
            decode_picture(bytes(data))


def test_what_is_no_picture_is_told_so(tmp_path):
    for data in (b"", b"GIF89a", b"PK\3\4" * 10, encoded(Image.new("RGB", (4, 4)), "BMP")):
        with pytest.raises(PictureFileError, match="is no PNG, JPEG or WebP"):
            decode_picture(data)
    with pytest.raises(PictureFileError, match="there is no picture"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(PictureFileError, match="is a folder: give the picture in it"):
        read_picture(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_pictures_are_refused_with_one_error(kind):
    random = np.random.default_rng(0)
    intact = encoded(Image.fromarray(random.integers(0, 255, (40, 40, 3)).astype(np.uint8)), kind)
    for number in range(150):
        data = bytearray(intact)
        if number % 2:
            data = data[: random.integers(len(data))]
        else:
            for _ in range(random.integers(1, 6)):
                data[random.integers(len(data))] = random.integers(256)
        try:
            picture = decode_picture(bytes(data))
        except PictureFileError:
            continue
        assert picture.shape[2] == 3
        assert max(picture.shape) <= 2048
