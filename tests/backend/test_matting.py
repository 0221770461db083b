# SPDX-License-Identifier: Apache-2.0
"""Cutting a head out of its picture: laws of spreading, and pictures that were put together from known parts."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from effigy.faces import DEFAULT_BUNDLE, load_face_model
from effigy.faces.pictures import Pictures
from effigy.matting import cut_out, cut_out_moving, multipliable, refine, without_haze
from effigy.matting.foreground import to_linear, to_srgb
from effigy.matting.spread import spread, spread_from_edge

from ..planes_bundle import PLANES

sizes = st.integers(1, 40)


def disc(height, width, softness=2.0):
    """Alpha of a round head, [H, W]: its edge is ``softness`` pixels wide."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    away = np.hypot(y - height / 2, x - width / 2)
    return ((min(height, width) / 3 - away) / softness + 0.5).clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("spread", [spread, spread_from_edge])
@given(height=sizes, width=sizes, seed=st.integers(0, 2**31))
def test_what_is_known_stays_and_what_is_spread_lies_between(spread, height, width, seed):
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


def test_colours_survive_being_multiplied_by_alpha_in_whole_numbers():
    colour, alpha = np.mgrid[:256, :256]
    shown = (2 / 255 * np.stack([colour, colour, colour, alpha], axis=-1) - 1).astype(np.float32)
    kept = np.floor(multipliable(shown) * np.float32(127.5) + 128).astype(int)  # as Pictures.bytes rounds
    np.testing.assert_array_equal(kept[..., 3], alpha)
    raised = kept[..., 1] - colour
    assert set(np.unique(raised)) == {0, 1}
    assert not raised[:, [0, 255]].any()
    exact = 255 * (kept[..., 1] * alpha // 255) / alpha.clip(1)
    for back in (np.ceil(exact - 0.5), np.floor(exact + 0.5)):
        assert (np.abs(kept[..., 1] - back) * alpha).max() <= 255


def head_before_a_ramp(shape):
    """A round head of one colour before a background that grows lighter: alpha, the head's light, and the picture."""
    alpha = disc(*shape)
    head = np.broadcast_to(np.float32([0.5, 0.2, 0.1]), (*shape, 3))
    behind = np.linspace(0.1, 0.9, shape[1], dtype=np.float32)[None, :, None] * np.ones((*shape, 3), np.float32)
    colour = 2 * to_srgb(alpha[..., None] * head + (1 - alpha[..., None]) * behind) - 1
    return alpha, head, colour


@pytest.mark.parametrize("shape", [(64, 64), (61, 83)])
def test_a_head_is_freed_of_what_was_behind_it(shape):
    alpha, head, colour = head_before_a_ramp(shape)
    found = to_linear((cut_out(colour, alpha) + 1) / 2)
    edge = (alpha > 0) & (alpha < 1)
    assert np.abs(found - head)[edge].max() < 0.02
    assert np.abs(to_linear((colour + 1) / 2) - head)[edge].max() > 0.3, "this picture has a fringe to be cut"
    assert np.abs(found - head)[alpha == 0].max() < 0.02, "whoever filters it must find no fringe"


@pytest.mark.parametrize("bright", [0.7, 1.0])
def test_dark_hair_cut_from_a_bright_picture_has_no_black_dots(bright):
    """A painted alpha is a little wrong, and so is the background that is taken out; dark colours show it most."""
    alpha, random = disc(90, 90), np.random.default_rng(1)
    hair = np.float32(0.015)
    wrong = (alpha * (1 - 0.03 * random.random(alpha.shape, np.float32))).astype(np.float32)
    light = alpha * hair + (1 - alpha) * np.float32(bright)
    colour = 2 * to_srgb(np.repeat(light[..., None], 3, axis=2)) - 1
    edge = (alpha > 0.9) & (alpha < 1)
    found = to_linear((cut_out(colour, wrong, is_painted=True) + 1) / 2)[edge]
    assert found.min() > 0.9 * hair
    solid = wrong >= 0.995
    np.testing.assert_array_equal(cut_out(colour, wrong, is_painted=True)[solid], colour[solid])


@pytest.mark.parametrize("cut", [partial(cut_out, is_painted=True), cut_out_moving])
@pytest.mark.parametrize("first", range(20, 24))
def test_a_strip_of_hair_beside_a_cheek_is_continued_by_hair(cut, first):
    """Wherever the squares lie over which colours are averaged."""
    hair, skin, behind = (np.float32(value) for value in (0.02, 0.5, 0.3))
    light = np.full((64, 64, 3), behind)
    alpha = np.zeros((64, 64), np.float32)
    light[:, :first], alpha[:, : first + 3] = skin, 1
    light[:, first : first + 3] = hair
    for column, share in ((first + 3, 0.6), (first + 4, 0.3)):
        alpha[:, column], light[:, column] = share, share * hair + (1 - share) * behind
    found = to_linear((cut(2 * to_srgb(light) - 1, alpha) + 1) / 2)
    assert found[:, first + 3 : first + 6].max() < 2 * hair


def test_faint_parts_beside_a_head_are_cleared_and_nothing_else():
    alpha = disc(40, 50)
    hazy = alpha.copy()
    hazy[0, 0], hazy[0, -2:], hazy[3, 3] = 0.1, 0.2, 0.6
    cleared = without_haze(hazy)
    assert not cleared[0].any()
    assert cleared[3, 3] == hazy[3, 3]
    np.testing.assert_array_equal(cleared[4:], alpha[4:])
    np.testing.assert_array_equal(without_haze(0.1 * alpha), 0.1 * alpha)


@pytest.mark.parametrize("cut", [cut_out, cut_out_moving])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_picture_without_an_edge_is_cut_out_too(cut, level):
    colour = np.random.default_rng(0).uniform(-1.2, 1.2, (9, 14, 3)).astype(np.float32)
    found = cut(colour, np.full((9, 14), level, np.float32))
    assert np.isfinite(found).all()
    if level:
        np.testing.assert_array_equal(found, colour)


@pytest.mark.parametrize("shape", [(24, 24), (61, 83), (160, 200)])
def test_what_moves_is_freed_of_what_was_behind_it_too(shape):
    alpha, head, colour = head_before_a_ramp(shape)
    found = to_linear((cut_out_moving(colour, alpha) + 1) / 2)
    near = disc(*shape, softness=5.0) > 0  # filters of enlarged pictures see so far
    assert np.abs(found - head)[near].max() < 0.03
    assert np.abs(to_linear((colour + 1) / 2) - head)[near].max() > 0.3, "this picture has a fringe to be cut"
    changed = (cut_out_moving(colour, alpha) != colour).any(axis=-1)
    assert not changed[(alpha == 1) | (disc(*shape, softness=12.0) == 0)].any()


@pytest.mark.parametrize("first", range(20, 24))
def test_what_moves_has_no_dark_dots_beside_solid_pixels_that_the_background_lightens(first):
    """A painted alpha says "solid" of a pixel a little early, here in every second row."""
    hair, bright = np.float32(0.02), np.float32(0.9)
    light = np.full((128, 128, 3), bright)
    alpha = np.zeros((128, 128), np.float32)
    light[:, :first], alpha[:, : first + 1] = hair, 1
    for column, share, told in ((first, 0.8, 1.0), (first + 1, 0.6, 0.9), (first + 2, 0.2, 0.3)):
        light[:, column], alpha[:, column] = share * hair + (1 - share) * bright, told
    alpha[::2, first] = 0.99
    moving, final = (to_linear((cut(2 * to_srgb(light) - 1, alpha) + 1) / 2)[4:-4] * alpha[4:-4, :, None] for cut in (
        cut_out_moving, partial(cut_out, is_painted=True)))  # fmt: skip
    edge = np.s_[:, first - 1 : first + 3]
    assert np.abs(moving - final)[edge].mean() < 0.03
    rows = moving[edge]
    assert np.abs(rows[::2] - rows[1::2])[:, 2:].max() < 0.05, "rows differ by a pixel's alpha of 0.01 alone"


def test_a_half_of_a_picture_has_no_bright_dots_along_dark_hair():
    """A generator's first blocks paint "solid" where the background still shows."""
    hair, bright = np.float32(0.02), np.float32(0.9)
    light, alpha = np.full((64, 64, 3), bright), np.zeros((64, 64), np.float32)
    light[:, :20], alpha[:, :21] = hair, 1
    for column, share in ((20, 0.8), (21, 0.4)):
        light[:, column] = share * hair + (1 - share) * bright
    alpha[:, 21] = 0.5
    whole, half = (
        to_linear((cut_out_moving(2 * to_srgb(light) - 1, alpha, is_half=is_half) + 1) / 2)[4:-4, :22]
        for is_half in (False, True)
    )
    assert whole[:, 20].min() > 0.1
    assert half.max() < hair + 0.03


def test_a_half_of_a_picture_has_no_haze_beside_its_head():
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    for seed in (7, 43):
        face = model.open_seed(seed, 0.7)
        half = model.preview(face.ws, half=True).bytes("head")[0, ..., 3]
        whole = model.finals(face.ws[None]).bytes("head")[0, ..., 3].reshape(len(half), 2, -1, 2)
        beside, solid = whole.max(axis=(1, 3)) == 0, whole.min(axis=(1, 3)) == 255
        assert (half[beside] > 0).mean() < 0.02
        assert half[solid].min() == 255


def test_exact_pictures_are_cut_out_each_by_itself_and_previews_faster():
    random = torch.Generator().manual_seed(0)
    images = torch.rand(3, len(PLANES), 24, 24, generator=random) * 2 - 1
    images[:, 3] = torch.from_numpy(2 * disc(24, 24) - 1)
    exact = Pictures(images, PLANES, None)
    preview = Pictures(images, PLANES, None, is_exact=False).bytes("head")
    together, solid = exact.bytes("head"), preview[..., 3] == 255
    for row in range(3):
        np.testing.assert_array_equal(exact.only(row).bytes("head")[0], together[row])
    np.testing.assert_array_equal(together[solid], preview[solid])
    np.testing.assert_array_equal(together[..., 3], preview[..., 3])
    assert (together != preview).any()
    difference = exact.words("head").astype(int) - 257 * together.astype(int)
    assert np.abs(difference).max() <= 257 / 2, "16 bits are the 8 bits, more finely"
    whole = exact.bytes()
    assert whole.shape == (3, 24, 24, 3), "without a matte nothing is cut out"
    np.testing.assert_array_equal(whole[solid], together[solid][:, :3])


@pytest.fixture(scope="module")
def pictures(default_model):
    """Two people of a model that paints colours alone."""
    faces = [default_model.open_seed(seed, 0.7) for seed in (3, 8)]
    ws = [default_model.edit(face, yaw, 0.0, {}).ws for face, yaw in zip(faces, (-20.0, 15.0), strict=True)]
    return default_model.finals(torch.stack(ws))


def test_a_head_without_a_painted_alpha_is_found(pictures):
    whole, cut = pictures.bytes(), pictures.bytes("head")
    alpha = cut[..., 3]
    np.testing.assert_array_equal(cut[alpha == 255][:, :3], whole[alpha == 255])
    assert (alpha[:, 40:100, 50:80] == 255).all(), "the face"
    assert not alpha[:, :10, :10].any(), "a corner"
    assert not alpha[:, :10, -10:].any(), "a corner"
    assert ((alpha > 0) & (alpha < 255)).mean() < 0.1, "most of a picture is head or background"
    fine = (pictures.words("head")[..., 3].astype(int) + 128) // 257
    np.testing.assert_array_equal(fine, alpha)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_matte_has_the_same_bits_in_any_company_and_with_any_number_of_threads(pictures, threads):
    together, before = pictures.bytes("head"), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for row in range(2):
            np.testing.assert_array_equal(pictures.only(row).bytes("head")[0], together[row])
    finally:
        torch.set_num_threads(before)


def test_a_turn_moves_the_matte_and_does_not_make_it_flicker(default_model):
    face = default_model.open_seed(3, 0.7)
    yaws = np.arange(-6, 6, 1.0)
    ws = torch.stack([default_model.edit(face, yaw, 0.0, {}).ws for yaw in yaws])
    alpha = default_model.finals(ws).bytes("head")[..., 3] / 255
    assert np.abs(np.diff(alpha, axis=0)).mean(axis=(1, 2)).max() < 0.01, "of all pixels, for a degree"
    swing = np.abs(alpha[1:-1] - (alpha[:-2] + alpha[2:]) / 2).mean()
    assert swing < 0.6 * np.abs(np.diff(alpha, axis=0)).mean(), "it goes to and fro more than it goes on"


def test_a_coarse_alpha_is_made_to_follow_the_picture():
    true = disc(96, 96, softness=1.5)
    colour = true[..., None] * np.float32([0.8, 0.5, 0.4]) + (1 - true[..., None]) * np.float32([0.1, 0.2, 0.5])
    colour[44:52, 36:44] = (0.1, 0.2, 0.5)  # an eye of the background's colour, far from the edge
    coarse = np.roll(disc(96, 96, softness=5), 1, axis=1)
    refined = refine(coarse, colour)
    assert np.abs(refined - true).mean() < 0.6 * np.abs(coarse - true).mean()
    assert refined[44:52, 36:44].min() == 1
    assert refined[:4].max() == 0


def test_a_large_picture_is_refined_as_a_small_one_is():
    true = disc(300, 290, softness=3)
    colour = true[..., None] * np.float32([0.8, 0.5, 0.4]) + (1 - true[..., None]) * np.float32([0.1, 0.2, 0.5])
    coarse = np.roll(disc(300, 290, softness=12), 2, axis=1)
    small = refine(coarse, colour)
    large = refine(*(plane.repeat(3, 0).repeat(3, 1) for plane in (coarse, colour)))
    assert large.shape == (900, 870)
    np.testing.assert_allclose(large[1::3, 1::3], small, atol=0.05)
    assert np.abs(large[1::3, 1::3] - true).mean() < 0.01


def test_a_painted_matte_ends_at_the_border_as_beside_it():
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    pictures = model.finals(
        torch.stack([model.edit(model.open_seed(seed, 0.8), yaw, 0.0, {}).ws for seed, yaw in ((1, 0.0), (2, 30.0))])
    )
    alpha = pictures.opacity()
    assert not alpha[:, 0].any()
    assert not alpha[:, : alpha.shape[1] // 2, [0, -1]].any()
    np.testing.assert_array_equal(alpha[:, -1, 1:-1], alpha[:, -2, 1:-1])
    normal = pictures.only(0).passes(("normal",), matte="head", is_straight=True)["normal"]
    np.testing.assert_array_equal(normal[0], np.broadcast_to([0, 0, 1], normal[0].shape), "passes end there as well")
