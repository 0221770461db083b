# SPDX-License-Identifier: Apache-2.0
"""Pictures in Blender's form."""

from __future__ import annotations

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest

from effigy_client.parameters import PictureParameters
from effigy_client.pixels import (
    BRIGHTEST,
    SURFACE_PASSES,
    Buffers,
    Surface,
    _twice,
    error_picture,
    from_rgba8,
    passes_of,
    to_png,
    words_png,
)
from effigy_protocol.messages import Array, Frame, Pose, Timings
from effigy_protocol.png import write_rgb

from .services import frame


def test_rows_are_turned_upside_down_and_bytes_survive():
    picture = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    values = from_rgba8(picture.tobytes(), 2, 3)
    assert values.dtype == np.float32
    back = np.round(values.reshape(2, 3, 4)[::-1] * 255).astype(np.uint8)
    np.testing.assert_array_equal(back, picture)


def doubled(picture):
    height, width, _ = picture.shape
    values = from_rgba8(picture.tobytes(), height, width, doubled=True)
    return np.round(values.reshape(2 * height, 2 * width, 4)[::-1] * 255).astype(int)


def test_a_doubled_picture_has_no_blocks():
    """A ramp stays one, in both directions, but for the half steps at its ends; an even picture is even."""
    ramp = np.zeros((5, 6, 4), np.uint8)
    ramp[..., 0], ramp[..., 1], ramp[..., 2] = 16 * np.arange(6), 16 * np.arange(5)[:, None], 200
    large = doubled(ramp)
    np.testing.assert_array_equal(large[0, 1:-1, 0], 4 + 8 * np.arange(10))
    np.testing.assert_array_equal(large[1:-1, 0, 1], 4 + 8 * np.arange(8))
    assert (large[..., 2] == 200).all()


def test_a_doubled_picture_is_as_bright():
    picture = np.random.default_rng(0).integers(0, 256, (16, 12, 4), dtype=np.uint8)
    np.testing.assert_allclose(doubled(picture).mean(axis=(0, 1)), picture.mean(axis=(0, 1)), atol=6)
    assert doubled(picture).max() <= 255


def test_every_byte_value_survives():
    every = np.arange(256, dtype=np.uint8).reshape(8, 8, 4)
    back = np.round(from_rgba8(every.tobytes(), 8, 8).reshape(8, 8, 4)[::-1] * 255).astype(np.uint8)
    np.testing.assert_array_equal(back, every)


def test_pixels_that_were_shown_are_written_again_and_no_others():
    dark, light, buffers = bytes(2 * 3 * 4), b"\xff" * (2 * 3 * 4), Buffers()
    shown = from_rgba8(light, 2, 3, buffers=buffers)
    waiting = from_rgba8(dark, 2, 3, buffers=buffers)
    assert not np.shares_memory(shown, waiting)
    buffers.give([shown])
    assert not np.shares_memory(from_rgba8(dark, 2, 3, buffers=buffers), waiting)
    assert np.shares_memory(from_rgba8(dark, 2, 3, doubled=True, buffers=buffers), shown) is False  # another size
    buffers.give([waiting])
    again = from_rgba8(light, 2, 3, buffers=buffers)
    assert np.shares_memory(again, waiting)
    assert again.min() == 1.0


def test_the_error_picture_is_loud_in_colour_and_in_grey():
    for height, width in ((128, 128), (64, 32), (1, 1)):
        picture = error_picture(height, width).reshape(height, width, 4)
        assert (picture[..., 3] == 1).all()
    grey = error_picture(128, 128).reshape(128, 128, 4)[..., :3].mean(axis=2)
    assert grey.std() > 0.2


def test_passes_come_as_arrays_top_row_first():
    values = np.arange(2 * 3 * 3, dtype="<f2").reshape(2, 3, 3) / 7
    arrays = {"normal": Array("f2", (2, 3, 3), values.tobytes()), "depth": Array("f2", (2, 3, 1), bytes(12))}
    pose, timings = Pose(0.0, 0.0, 0.0, 1.0, 0.0, 0.0), Timings(0.0, 0.0, 0.0, 0.0)
    frame = Frame("i", "final", 2, 3, "rgba8", bytes(24), True, pose, (), {}, timings, passes=arrays)
    passes = passes_of(frame)
    assert passes["normal"].dtype == np.float16
    np.testing.assert_array_equal(passes["normal"], values)
    assert passes["depth"].shape == (2, 3, 1)


def test_a_png_is_the_picture_that_was_shown():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    picture[..., 3] = 255
    written = iio.imread(to_png(from_rgba8(picture.tobytes(), 5, 7), 5, 7))
    np.testing.assert_array_equal(written, picture[..., :3])
    picture[..., 3] = 0
    assert np.all(iio.imread(to_png(from_rgba8(picture.tobytes(), 5, 7), 5, 7)) == 128), "not grey behind it"
    light = np.full((5, 7, 4), 0.2158605, np.float32)
    light[..., 3] = 1
    assert np.all(iio.imread(to_png(light.reshape(-1), 5, 7, linear=True)) == 128)


def test_a_picture_of_any_size_becomes_one_that_is_quickly_read():
    wide = np.ones((3, 5000, 4), np.float32)
    assert iio.imread(to_png(wide.reshape(-1), 3, 5000)).shape == (1, 1666, 3)
    with pytest.raises(ValueError, match="a picture of 2 × 1 has 6 bytes, not 5"):
        write_rgb(b"12345", 2, 1)


def test_of_a_thin_strip_something_is_left():
    file = to_png(np.ones(2 * 300 * 4, np.float32), 2, 300, longest=10)
    assert iio.imread(file, extension=".png").shape == (1, 150, 3)


def test_what_lights_a_picture_is_the_same_in_memory_and_in_a_file():
    normal = np.zeros((2, 3, 3), "<f2")
    normal[0] = (0.6, 0.0, 0.8)  # the other row shows nothing
    light = np.full((2, 3, 3), 1.5, "<f2")
    beside = {"normal": Array("f2", (2, 3, 3), normal.tobytes()), "light": Array("f2", (2, 3, 3), light.tobytes())}
    asked = PictureParameters.of(0.0, 0.0, lit=True).request("x", "preview")
    assert set(asked.passes) == beside.keys()
    painted = replace(frame(asked), height=2, width=3, data=bytes(24), passes=beside)
    surface = Surface.of(painted, "head")
    values, glow = (each.reshape(2, 3, 4) for each in surface.pixels())
    np.testing.assert_allclose(values[1, :, :3], 3 * [[0.8, 0.5, 0.9]], atol=1e-3, err_msg="bottom row first")
    np.testing.assert_allclose(values[0, :, :3], 3 * [[0.5, 0.5, 1.0]], atol=1e-4, err_msg="to the viewer")
    assert (values[..., 3] == 1).all()
    np.testing.assert_allclose(glow[..., :3] * BRIGHTEST, 1.5, rtol=1e-4)
    file = words_png(surface.normal)
    assert file[24:26] == bytes([16, 2]), "16 bits of colour, of which this reader shows the high ones"
    np.testing.assert_array_equal(iio.imread(file, extension=".png"), surface.normal[::-1, :, :3] >> 8)
    assert Surface.of(replace(painted, half=True), "head").normal.shape == (4, 6, 4)
    assert Surface.of(replace(painted, passes={}), "head") is None


@pytest.mark.parametrize("matte", ["head", "none"])
def test_normals_lean_to_the_viewer_the_shorter_they_are_painted(matte):
    lengths = np.array([0.0, 0.01, 0.1, 0.3, 0.5, 0.8, 1.1])
    normal = np.zeros((1, 7, 3), "<f2")
    normal[0, :, 0] = lengths
    passes = {name: Array("f2", (1, 7, 3), values.tobytes()) for name, values in zip(
        SURFACE_PASSES, (normal, np.ones((1, 7, 3), "<f2")), strict=True)}  # fmt: skip
    asked = frame(PictureParameters.of(0.0, 0.0, lit=True).request("x", "preview"))
    painted = replace(asked, height=1, width=7, data=bytes(28), passes=passes)
    shown = Surface.of(painted, matte).normal[0, :, :3] / 65535.0 * 2 - 1
    lean = 1 - 2 * lengths if matte == "head" else 3 - 4 * lengths
    wanted = np.degrees(np.arctan2(lengths, lean.clip(0)))
    np.testing.assert_allclose(np.degrees(np.arctan2(shown[:, 0], shown[:, 2])), wanted, atol=0.2)


def test_16_bits_are_doubled_without_overflow():
    words = np.full((2, 2, 3), 65535, np.uint16)
    words[0] = 0
    np.testing.assert_array_equal(_twice(words, 0)[:, 0, 0], [0, 16384, 49151, 65535])
