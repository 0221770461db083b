# SPDX-License-Identifier: Apache-2.0
"""Our networks compute the same as the official ones, and damaged files give one clear error."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from effigy.faces import FIRST_BUNDLE
from effigy.generators import GeneratorFileError, load_generator, save_generator
from effigy.generators.checkpoints import open_checkpoint
from effigy.generators.checkpoints.configuration import read_config
from effigy.generators.networks import strips, stylegan2, stylegan3
from effigy.generators.networks.configs import StyleGAN2Config, StyleGAN3Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.operations import channels_last
from effigy.generators.networks.resampling import fir_kernel, phase_weights, phases_to_space
from effigy.generators.networks.stylegan2 import StyleGAN2, SynthesisLayer
from effigy.generators.networks.stylegan3 import StyleGAN3, in_plane
from effigy.generators.networks.winograd import pays, transform_weight, winograd_conv2d
from effigy.generators.registry import build_network
from effigy.threads import limited_threads

from ..closeness import assert_same, roundings_of, typical_error
from .checkpoint_files import NAMES, parity
from .devices import DEVICES

GENERATOR = FIRST_BUNDLE / "generator.safetensors"


def build(name, device="cpu"):
    """Returns our network with an official one's weights, and what the official one computed."""
    kwargs, state, data = parity(name)
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    config = read_config({**kwargs, **kwargs.get("synthesis_kwargs", {}), "mapping": kwargs["mapping_kwargs"]}, shapes)
    network = build_network(config)
    network.load_state_dict({key: value for key, value in state.items() if "resample_filter" not in key})
    if device == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return network.to(device), {key: value.to(device) for key, value in data.items()}


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


def half_roundings_of(network):
    """Counts two roundings for each convolution: of its input and of its output."""
    return 2 * sum(weight.ndim == 4 for weight in network.parameters())


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


def assert_same_gradients(made, wanted):
    """Allows one activation of many thousands to round to the other side of zero, where its slope differs."""
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-3 * float(wanted.abs().max()))


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


def test_a_saved_generator_loads_as_the_same_network(tmp_path):
    torch.manual_seed(0)
    network = StyleGAN2(StyleGAN2Config(16, 16, (16, 8), 2))
    initialize(network)
    network.half().float()
    save_generator(network, tmp_path / "g.safetensors")
    loaded = load_generator(tmp_path / "g.safetensors", "cpu")
    ws = loaded.map(torch.randn(2, 16))
    assert_same(loaded.synthesize(ws), network.synthesize(ws), roundings_of(network))
    assert loaded.resolution == (8, 8)
    assert loaded.num_ws == 4


def test_a_frozen_generator_is_neither_saved_nor_frozen_again(tmp_path):
    network = load_generator(GENERATOR, "cpu")
    with pytest.raises(ValueError, match="convert the file"):
        save_generator(network, tmp_path / "g.safetensors")
    with pytest.raises(ValueError, match="frozen already"):
        network.freeze()
    assert not list(tmp_path.iterdir())


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


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "truncated", "foreign"])
def test_a_damaged_file_gives_one_clear_error(tmp_path, damage):
    from safetensors.torch import save_file

    path = tmp_path / "g.safetensors"
    good = GENERATOR.read_bytes()
    if damage == "foreign":
        save_file({"x": torch.zeros(3)}, path)
    elif damage != "missing":
        path.write_bytes({"empty": b"", "garbage": b"\xff" * 1000, "truncated": good[:5000]}[damage])
    with pytest.raises(GeneratorFileError, match="g.safetensors"):
        load_generator(path, "cpu")


def test_random_damage_never_raises_anything_else(tmp_path):
    good = bytearray(GENERATOR.read_bytes())
    random = np.random.default_rng(0)
    path = tmp_path / "g.safetensors"
    for _ in range(40):
        bad = bytearray(good)
        for position in random.integers(0, 20_000, 3):  # the header: the rest is only numbers
            bad[position] ^= int(random.integers(1, 256))
        path.write_bytes(bad)
        with contextlib.suppress(GeneratorFileError):
            load_generator(path, "cpu")
