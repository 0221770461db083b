# SPDX-License-Identifier: Apache-2.0
"""Encoded pictures are complete, and smaller than their pixels."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest

from effigy.service.encode import encode_picture, png


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (64, 48)])
def test_a_png_holds_every_pixel(size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    np.testing.assert_array_equal(iio.imread(encode_picture(picture, "png")), picture)


def test_sixteen_bits_are_understood_by_another_reader():
    """That reader keeps the upper eight bits of each channel."""
    picture = np.random.default_rng(0).integers(0, 65536, (5, 7, 3), np.uint16)
    data = png(picture)
    width, height, depth, colour = data[19], data[23], data[24], data[25]
    assert (width, height, depth, colour) == (7, 5, 16, 2)
    np.testing.assert_array_equal(iio.imread(data), picture >> 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_does_not_depend_on_how_the_picture_lies_in_memory(dtype):
    planes = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (3, 5, 7), dtype)
    picture = planes.transpose(1, 2, 0)
    assert png(picture) == png(np.ascontiguousarray(picture))


def test_smooth_pictures_become_small():
    y, x = np.mgrid[0:128, 0:128]
    smooth = np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8)
    assert len(encode_picture(smooth, "png")) < smooth.nbytes / 4


def test_rgba_is_opaque_and_in_order():
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    rgba = np.frombuffer(encode_picture(picture, "rgba8"), np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(rgba[..., :3], picture)
    assert (rgba[..., 3] == 255).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_the_fourth_channel_of_a_png_and_of_rgba(dtype):
    picture = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (5, 7, 4), dtype)
    np.testing.assert_array_equal(iio.imread(png(picture)), picture if dtype == np.uint8 else picture >> 8)
    if dtype == np.uint8:
        rgba = np.frombuffer(encode_picture(picture, "rgba8"), np.uint8).reshape(5, 7, 4)
        np.testing.assert_array_equal(rgba, picture)
        assert iio.imread(encode_picture(picture, "jpeg")).shape == (5, 7, 3)
