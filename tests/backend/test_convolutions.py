# SPDX-License-Identifier: Apache-2.0
"""Faster convolutions give the plain one's result: phases, Winograd's algorithm, strips, half precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from effigy.generators import load_generator
from effigy.generators.checkpoints import open_checkpoint
from effigy.generators.networks import strips, stylegan2, stylegan3
from effigy.generators.networks.configs import StyleGAN2Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.resampling import fir_kernel, phase_weights, phases_to_space
from effigy.generators.networks.stylegan2 import StyleGAN2, SynthesisLayer
from effigy.generators.networks.winograd import pays, transform_weight, winograd_conv2d
from effigy.generators.registry import build_network

from ..closeness import assert_same, roundings_of
from .checkpoint_files import NAMES
from .official_networks import GENERATOR, assert_same_gradients, build, half_roundings_of


@pytest.mark.parametrize("size", [(4, 4), (8, 4), (5, 7)])
def test_four_phases_are_the_filtered_up_convolution(size):
    random = torch.Generator().manual_seed(5)
    x = torch.randn(2, 6, *size, generator=random, dtype=torch.float64)
    weight = torch.randn(3, 6, 3, 3, generator=random, dtype=torch.float64)
    fir = fir_kernel(gain=4.0).double().expand(3, 1, 4, 4)
    wanted = F.conv2d(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), fir, padding=1, groups=3)
    torch.testing.assert_close(phases_to_space(F.conv2d(x, phase_weights(weight), padding=1)), wanted)


@pytest.mark.parametrize(("size", "padding"), [((16, 16), 1), ((7, 10), 1), ((17, 30), 2)])
def test_winograds_convolution_is_the_convolution(size, padding):
    random = torch.Generator().manual_seed(6)
    x = torch.randn(2, 6, *size, generator=random, dtype=torch.float64)
    weight = torch.randn(3, 6, 3, 3, generator=random, dtype=torch.float64)
    made = winograd_conv2d(x, transform_weight(weight), padding)
    torch.testing.assert_close(made, F.conv2d(x, weight, padding=padding))


@pytest.mark.parametrize("name", [name for name in NAMES if "3r" not in name])
def test_synthesis_by_winograd_is_the_official_networks(monkeypatch, name):
    for architecture in (stylegan2, stylegan3):  # these networks are too small to be worth it
        monkeypatch.setattr(architecture, "pays", lambda weight, size, dtype: weight.shape[2] == 3)
    network, data = build(name)
    network.freeze()
    assert any(getattr(layer, "winograd", False) for layer in network.modules())
    with torch.no_grad():
        made = network.synthesize(data["wp"])
    assert_same(made, data["img_wp"], roundings_of(network))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("latents", ["w", "wp"])
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("sg2")])
def test_synthesis_in_strips_is_the_official_networks(monkeypatch, name, latents, rows):
    network, data = build(name)
    network.freeze()
    monkeypatch.setattr(stylegan2, "strip_step", lambda x, channels: min(x.shape[2], rows))
    with torch.no_grad():
        made = network.synthesize(data[latents])
        bare = network.synthesize(data[latents], noise=False)
    assert_same(made, data["img_w" if latents == "w" else "img_wp"], roundings_of(network))
    if latents == "w":
        assert_same(bare, data["img_w_none"], roundings_of(network))


@pytest.fixture()
def small_strips(monkeypatch):
    """Makes strips of one row; the list receives the input rows of each block that is painted in strips."""
    painted = []

    def watched(height, step):
        painted.append(height)
        return strips.strips(height, step)

    monkeypatch.setattr(strips, "_STRIP", 0)
    monkeypatch.setattr(stylegan2, "strips", watched)
    return painted


CONFIG = StyleGAN2Config(z_dim=8, w_dim=8, channels=(8, 8, 8, 4), mapping_layers=1, first=(4, 2))


def initialized():
    network = StyleGAN2(CONFIG)
    initialize(network)
    for layer in network.modules():
        if isinstance(layer, SynthesisLayer):
            layer.noise_strength.data.fill_(0.3)
    return network


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_strips_paint_the_whole_in_every_type_and_half_size(monkeypatch, small_strips, dtype):
    monkeypatch.setattr(stylegan2, "_COARSE", 0)
    network = initialized()
    ws = network.map(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)))
    exact = initialized()
    monkeypatch.setattr(strips, "_STRIP", 1 << 30)
    with torch.no_grad():
        exact.freeze(dtype)
        whole, half = exact.synthesize(ws), exact.synthesize_half(ws)
    assert small_strips == []
    monkeypatch.setattr(strips, "_STRIP", 0)
    with torch.no_grad():
        network.freeze(dtype)
        roundings = (roundings_of if dtype == torch.float32 else half_roundings_of)(network)
        assert_same(network.synthesize(ws), whole, roundings, dtype)
        assert_same(network.synthesize_half(ws), half, roundings, dtype)
    assert small_strips == [4, 4, 4, 8, 8, 8, 16, 16, 16, 4, 4, 4, 8, 8, 8], "each block, once for each picture"


def test_gradients_pass_through_strips(monkeypatch, small_strips):
    network = initialized()
    gradients = []
    for size in (1 << 30, 0):
        monkeypatch.setattr(strips, "_STRIP", size)
        styles = [style.detach() for style in network.styles(network.map(torch.ones(1, 8)))]
        styles[-1].requires_grad_()  # nothing before it needs a gradient, so strips are allowed
        network.requires_grad_(requires_grad=False)
        network.synthesize_styles(styles).square().sum().backward()
        gradients.append(styles[-1].grad)
    assert small_strips == [4, 8, 16]
    assert_same(*gradients, 2 * roundings_of(network))  # there and back


def test_the_last_block_holds_no_more_than_a_strip(monkeypatch, small_strips):
    held = []
    together = torch.cat

    def watched(parts, dim=0):
        pictures = [part for part in parts if part.ndim == 4]  # and no styles
        held.append(sum(part.untyped_storage().nbytes() for part in pictures if part.shape[1] == 4))
        return together(parts, dim)

    monkeypatch.setattr(torch, "cat", watched)
    network = initialized()
    network.freeze()
    with torch.no_grad():
        network.synthesize(network.map(torch.ones(1, 8)))
    assert small_strips == [4, 8, 16]
    assert max(held) == 0, "only the last block has four channels, and nobody reads its result"


@pytest.mark.parametrize(("height", "step"), [(8, 1), (8, 3), (7, 2), (5, 4), (6, 6)])
def test_strips_cover_every_row_once_and_read_what_they_need(height, step):
    made = list(strips.strips(height, step))
    rows = np.arange(2 * height)
    np.testing.assert_array_equal(np.concatenate([rows[strip.kept] for strip in made]), rows)
    for strip in made:
        grown, smoothed, kept = rows[strip.grown], rows[strip.smoothed], rows[strip.kept]
        assert set(smoothed) == set(rows) & {row + near for row in kept for near in (-1, 0, 1)}
        # A row of the up-convolution is right only if the neighbouring input rows were read.
        needed = {row // 2 + near for row in smoothed for near in (-1, 0, 1)} & set(range(height))
        assert needed <= set(range(height)[strip.read])
        np.testing.assert_array_equal(grown, np.repeat(range(height)[strip.read], 2) * 2 + rows[: len(grown)] % 2)
        np.testing.assert_array_equal(grown[strips.within(strip.smoothed, strip.grown)], smoothed)


def test_strips_are_for_large_pictures_on_processors_without_gradients():
    small, large = torch.empty(1, 2, 128, 128), torch.empty(1, 2, 512, 512)
    assert strips.strip_step(small, 64) == 128
    assert strips.strip_step(large, 32) == 64
    assert strips.strip_step(large.expand(4, -1, -1, -1), 32) == 64, "each picture by itself"
    assert strips.strip_step(large.requires_grad_(), 32) == 512
    assert strips.strip_step(torch.empty(1, 2, 512, 512, device="meta"), 32) == 512


def test_winograd_is_used_where_it_pays():
    wide, narrow = torch.empty(64, 32, 3, 3), torch.empty(64, 32, 1, 1)
    assert pays(wide, (32, 32), torch.float32)
    assert pays(wide, (32, 16), torch.float32)
    assert not pays(wide, (33, 16), torch.float32)
    assert not pays(wide, (8, 8), torch.float32)
    assert not pays(narrow, (32, 32), torch.float32)
    assert not pays(wide, (32, 32), torch.bfloat16)


@pytest.mark.parametrize("matrix_units", [False, True])
def test_coarse_layers_stay_in_float32_and_up_convolutions_become_phases(monkeypatch, matrix_units):
    monkeypatch.setattr(stylegan2, "has_matrix_units", lambda: matrix_units)
    name = max((name for name in NAMES if name.startswith("sg2")), key=lambda name: build(name)[0].resolution)
    network, data = build(name)
    network.freeze(torch.bfloat16)
    layers = [layer for layer in network.modules() if isinstance(layer, SynthesisLayer)]
    for layer in layers:
        fine = min(layer.noise_const.shape) > 16
        assert (layer.weight.dtype == torch.bfloat16) == fine
        assert layer.phases == (fine and layer.up and matrix_units)
    assert any(layer.weight.dtype == torch.bfloat16 for layer in layers)
    with torch.no_grad():
        made = network.synthesize(data["w"])
    assert (made - data["img_w"]).abs().mean() <= 0.002 * data["img_w"].std()


def test_the_default_generators_wide_layers_go_by_winograd_and_paint_the_same():
    config = load_generator(GENERATOR, "cpu").config
    with open_checkpoint(GENERATOR) as checkpoint:
        network = build_network(config)
        network.load_state_dict({name: weight.read() for name, weight in checkpoint.tensors.items()})
    frozen = load_generator(GENERATOR, "cpu")
    assert sum(getattr(layer, "winograd", False) for layer in frozen.modules()) >= 2
    ws = frozen.map(torch.randn(2, frozen.z_dim, generator=torch.Generator().manual_seed(0))).requires_grad_()
    made, wanted = frozen.synthesize(ws), network.synthesize(ws)
    assert_same(made, wanted, roundings_of(network))
    gradients = [torch.autograd.grad(picture.square().mean(), ws)[0] for picture in (made, wanted)]
    assert_same_gradients(*gradients)
