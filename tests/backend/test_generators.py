# SPDX-License-Identifier: Apache-2.0
"""Our networks compute the same as the official ones, and damaged files give one clear error."""

from __future__ import annotations

import pytest
import torch

from effigy.generators import load_generator
from effigy.generators.networks import stylegan2
from effigy.generators.networks.configs import StyleGAN2Config, StyleGAN3Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.operations import channels_last
from effigy.generators.networks.stylegan3 import StyleGAN3, in_plane
from effigy.threads import limited_threads

from ..closeness import assert_same, roundings_of, typical_error
from .checkpoint_files import NAMES
from .devices import DEVICES
from .official_networks import GENERATOR, assert_same_gradients, build, half_roundings_of


@pytest.fixture(scope="module", params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(scope="module", params=NAMES)
def official(request, device):
    return build(request.param, device)


@pytest.fixture(scope="module", params=NAMES)
def frozen(request, device):
    network, data = build(request.param, device)
    network.freeze()
    return network, data


PAIRS = [("w", "img_w"), ("w_trunc", "img_wtrunc"), ("wp", "img_wp")]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("latents", "picture"), PAIRS)
def test_synthesis_is_the_official_networks(official, latents, picture, batch):
    network, data = official
    made = network.synthesize(data[latents][:batch])
    assert_same(made, data[picture][:batch], roundings_of(network))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("latents", "picture"), PAIRS)
def test_folded_constants_and_work_in_place_change_nothing(frozen, latents, picture, batch):
    network, data = frozen
    with torch.no_grad():
        made = network.synthesize(data[latents][:batch])
        again = network.synthesize(data[latents][:batch])
    assert_same(made, data[picture][:batch], roundings_of(network))
    assert torch.equal(made, again)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_stays_near(monkeypatch, device, name, dtype):
    monkeypatch.setattr(stylegan2, "_COARSE", 0)  # these networks are so small that every layer would be excluded
    network, data = build(name, device)
    network.freeze(dtype)
    with torch.no_grad():
        made = network.synthesize(data["w"])
    assert made.dtype == torch.float32
    assert (made - data["img_w"]).abs().mean() <= typical_error(half_roundings_of(network), data["img_w"].std(), dtype)


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("sg2")])
def test_synthesis_without_noise_is_the_official_networks(name, batch, freeze):
    network, data = build(name)
    if freeze:
        network.freeze()
    with torch.inference_mode():
        made = network.synthesize(data["w"][:batch], noise=False)
    assert_same(made, data["img_w_none"][:batch], roundings_of(network))


def test_mapping_and_truncation_are_the_official_networks(official):
    network, data = official
    assert_same(network.map(data["z"]), data["w"], roundings_of(network.mapping))
    truncated = network.map(data["z"], truncation_psi=0.7)
    # The fixtures' cutoff is 8.
    assert_same(truncated[:, :8], data["w_trunc"][:, :8], roundings_of(network.mapping))


def test_styles_paint_what_their_latents_paint(frozen):
    network, data = frozen
    with torch.no_grad():
        styles = network.styles(data["wp"])
        assert all(len(style) == 2 for style in styles)
        assert torch.equal(network.synthesize_styles(styles), network.synthesize(data["wp"]))
        assert len(styles) >= network.num_ws - 1


def test_gradients_of_frozen_and_open_networks_agree():
    for name in NAMES:
        gradients = []
        for freeze in (False, True):
            network, data = build(name)
            if freeze:
                network.freeze()
            ws = data["wp"].clone().requires_grad_()
            network.synthesize(ws).square().mean().backward()
            gradients.append(ws.grad)
        assert_same_gradients(*gradients)


@pytest.mark.parametrize("name", ["sg3t-32", "sg3r-32"])
def test_stylegan3_designs_the_filters_that_official_files_hold(name):
    network, _ = build(name)
    ours = StyleGAN3(network.config).state_dict()
    for key, value in network.state_dict().items():
        if key.endswith("_filter"):
            assert_same(ours[key], value, 1)  # of filters designed in double precision


def test_stylegan3_moves_its_picture_in_the_plane():
    # A network whose style does not move the plane, so that the motion is known; R rotates exactly.
    shape = {"channel_base": 256, "channel_max": 8, "conv_kernel": 1, "use_radial_filters": True}
    network = StyleGAN3(StyleGAN3Config(8, 8, 32, **shape))
    torch.manual_seed(0)
    initialize(network)
    network.freeze()
    ws = network.map(torch.randn(1, 8))
    with torch.no_grad():
        still = network.synthesize(ws)
        assert torch.equal(network.synthesize(ws, in_plane(0.0)), still)
        moved = network.synthesize(ws, in_plane(0.0, (4 / 32, 2 / 32)))
        turned = network.synthesize(ws, in_plane(90.0))
    inner = slice(8, 24)
    spread = still.std()
    assert (moved[..., 10:26, 12:28] - still[..., inner, inner]).abs().max() < 0.02 * spread, "4 right, 2 down"
    quarter = still.rot90(1, dims=(2, 3))
    assert (turned[..., inner, inner] - quarter[..., inner, inner]).abs().max() < 0.05 * spread, "counter-clockwise"


def test_a_picture_does_not_depend_on_its_batch():
    generator = load_generator(GENERATOR, "cpu")
    ws = generator.map(torch.randn(3, generator.z_dim, generator=torch.Generator().manual_seed(0)))
    together = generator.synthesize(ws)
    for number in range(3):
        alone = generator.synthesize(ws[number : number + 1])
        assert_same(together[number], alone[0], roundings_of(generator))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_products_of_few_rows_have_the_bits_of_each_row_alone_in_one_thread(count):
    """Larger layers depend on the libraries; ``effigy.faces.finals`` checks them."""
    generator, other = load_generator(GENERATOR, "cpu"), StyleGAN3(StyleGAN3Config(64, 256, 16, channel_max=203))
    initialize(other)
    other.freeze()
    random = torch.Generator().manual_seed(0)
    ws, ws3 = (network.map(torch.randn(count, network.z_dim, generator=random)) for network in (generator, other))
    small = generator.synthesis.blocks()[1]  # 8 × 8
    x4, x8 = torch.randn(count, 256, 4, 4, generator=random), torch.randn(count, 256, 8, 8, generator=random)

    def made(rows):
        styles = generator.styles(ws[rows])
        convolved = small.conv1.convolve(channels_last(x8[rows]))
        return [*styles, small.conv1.scales(styles[3]), convolved, *other.styles(ws3[rows])]

    def grown(rows):
        return small.conv0.convolve(channels_last(x4[rows]))

    with torch.inference_mode(), limited_threads(1):
        alone = [torch.cat(parts) for parts in zip(*(made([row]) for row in range(count)), strict=True)]
    for threads in (1, 2, 3, 4):
        with torch.inference_mode(), limited_threads(threads):
            assert all(map(torch.equal, made(slice(None)), alone)), threads
            assert torch.equal(grown(slice(None)), torch.cat([grown([row]) for row in range(count)])), threads


def test_a_channel_that_reads_nothing_is_finite_in_half_precision():
    config, random = StyleGAN2Config(4, 4, (3, 3), 2), torch.Generator().manual_seed(0)
    layer = stylegan2.SynthesisLayer(3, 3, config, (8, 8), up=False)
    initialize(layer)
    with torch.no_grad():
        layer.weight[1] = 0
    layer.freeze(torch.float16)
    x = channels_last(torch.randn(1, 3, 8, 8, generator=random))
    y = layer(x, layer.scales(torch.ones(1, 3)).float(), noise=True)
    assert y.isfinite().all()
    assert not (y[:, 1] - y[:, 1, :1, :1]).any(), "it shows its bias alone"
