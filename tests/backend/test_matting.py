# SPDX-License-Identifier: Apache-2.0
"""Cutting a head out of its picture: laws of spreading, and pictures that were put together from known parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from effigy.faces.pictures import Pictures
from effigy.matting import cut_out, refine
from effigy.matting.foreground import to_linear, to_srgb
from effigy.matting.spread import spread

from ..planes_bundle import PLANES

sizes = st.integers(1, 40)


def disc(height, width, softness=2.0):
    """Alpha of a round head, [H, W]: its edge is ``softness`` pixels wide."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    away = np.hypot(y - height / 2, x - width / 2)
    return ((min(height, width) / 3 - away) / softness + 0.5).clip(0, 1).astype(np.float32)


@given(sizes, sizes, st.integers(0, 2**31))
def test_what_is_known_stays_and_what_is_spread_lies_between(height, width, seed):
    random = np.random.default_rng(seed)
    values = random.random((height, width, 3), np.float32)
    weight = (random.random((height, width)) < 0.3).astype(np.float32)
    spreaded = spread(values, weight)
    assert spreaded.shape == values.shape
    np.testing.assert_array_equal(spreaded[weight == 1], values[weight == 1])
    if weight.any():
        known = values[weight == 1]
        assert (spreaded >= known.min(axis=0) - 1e-5).all()
        assert (spreaded <= known.max(axis=0) + 1e-5).all()
    else:
        assert not spreaded.any()


def test_an_even_colour_is_spread_evenly():
    weight = np.zeros((33, 20), np.float32)
    weight[7, 11] = 0.5
    np.testing.assert_allclose(spread(np.full((33, 20, 3), 0.25, np.float32), weight), 0.25, rtol=1e-6)


@pytest.mark.parametrize("shape", [(64, 64), (61, 83)])
def test_a_head_is_freed_of_what_was_behind_it(shape):
    alpha = disc(*shape)
    head = np.broadcast_to(np.float32([0.5, 0.2, 0.1]), (*shape, 3))
    behind = np.linspace(0.1, 0.9, shape[1], dtype=np.float32)[None, :, None] * np.ones((*shape, 3), np.float32)
    colour = 2 * to_srgb(alpha[..., None] * head + (1 - alpha[..., None]) * behind) - 1
    found = to_linear((cut_out(colour, alpha) + 1) / 2)
    edge = (alpha > 0) & (alpha < 1)
    assert np.abs(found - head)[edge].max() < 0.02
    assert np.abs(to_linear((colour + 1) / 2) - head)[edge].max() > 0.3, "this picture has a fringe to be cut"
    assert np.abs(found - head)[alpha == 0].max() < 0.02, "whoever filters it must find no fringe"


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_picture_without_an_edge_is_cut_out_too(level):
    colour = np.random.default_rng(0).uniform(-1.2, 1.2, (9, 14, 3)).astype(np.float32)
    found = cut_out(colour, np.full((9, 14), level, np.float32))
    assert np.isfinite(found).all()
    if level:
        np.testing.assert_array_equal(found, colour)


def test_exact_pictures_are_cut_out_each_by_itself_and_previews_are_not():
    random = torch.Generator().manual_seed(0)
    images = torch.rand(3, len(PLANES), 24, 24, generator=random) * 2 - 1
    images[:, 3] = torch.from_numpy(2 * disc(24, 24) - 1)
    exact = Pictures(images, PLANES, None)
    preview = Pictures(images, PLANES, None, is_exact=False)
    together, solid = exact.bytes(), preview.bytes()[..., 3] == 255
    for row in range(3):
        np.testing.assert_array_equal(exact.only(row).bytes()[0], together[row])
    np.testing.assert_array_equal(together[solid], preview.bytes()[solid])
    np.testing.assert_array_equal(together[..., 3], preview.bytes()[..., 3])
    assert (together != preview.bytes()).any()
    difference = exact.words().astype(int) - 257 * together.astype(int)
    assert np.abs(difference).max() <= 257 / 2, "16 bits are the 8 bits, more finely"


def test_a_coarse_alpha_is_made_to_follow_the_picture():
    true = disc(96, 96, softness=1.5)
    colour = true[..., None] * np.float32([0.8, 0.5, 0.4]) + (1 - true[..., None]) * np.float32([0.1, 0.2, 0.5])
    colour[44:52, 36:44] = (0.1, 0.2, 0.5)  # an eye of the background's colour, far from the edge
    coarse = np.roll(disc(96, 96, softness=5), 1, axis=1)
    refined = refine(coarse, colour)
    assert np.abs(refined - true).mean() < 0.6 * np.abs(coarse - true).mean()
    assert refined[44:52, 36:44].min() == 1
    assert refined[:4].max() == 0
