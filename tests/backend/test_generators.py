# SPDX-License-Identifier: Apache-2.0
"""Our networks are numerically the official ones, and damaged files give one clear error."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.generators import GeneratorFileError, load_generator, save_generator
from backend.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from backend.models import DEFAULT_BUNDLE

FIXTURES = Path(__file__).parents[1] / "fixtures"
GENERATOR = DEFAULT_BUNDLE / "generator.safetensors"


@pytest.fixture(scope="module", params=["sg2-32", "sg2ada-32"])
def official(request):
    """A random-weight network of ours with an official one's weights, and what the official one computed."""
    archive = dict(np.load(FIXTURES / "parity" / f"{request.param}.npz"))
    kwargs = json.loads(bytes(archive["init_kwargs"]))
    channels = tuple(archive[f"state/synthesis.b{r}.conv1.weight"].shape[0] for r in (4, 8, 16, 32))
    config = StyleGAN2Config(kwargs["z_dim"], kwargs["w_dim"], channels, 4, conv_clamp=256.0)
    network = StyleGAN2(config)
    state = {name[6:]: value for name, value in archive.items() if name.startswith("state/")}
    network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items() if "resample_filter" not in k})
    return network, {name: torch.from_numpy(value) for name, value in archive.items() if "/" not in name}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("latents", "picture"), [("w", "img_w"), ("w_trunc", "img_wtrunc"), ("wp", "img_wp")])
def test_synthesis_is_the_official_networks(official, latents, picture, batch):
    network, data = official
    made = network.synthesize(data[latents][:batch])
    assert (made - data[picture][:batch]).abs().max() <= 1e-4 * data[picture].std()


def test_synthesis_without_noise_is_the_official_networks(official):
    network, data = official
    with torch.inference_mode():
        made = network.synthesis(data["w"], noise=False)
    assert (made - data["img_w_none"]).abs().max() <= 1e-4 * data["img_w_none"].std()


def test_mapping_and_truncation_are_the_official_networks(official):
    network, data = official
    assert (network.map(data["z"]) - data["w"]).abs().max() < 1e-5
    truncated = network.map(data["z"], truncation_psi=0.7)
    assert (truncated - data["w_trunc"]).abs().max() < 1e-5


def test_a_picture_does_not_depend_on_its_batch():
    generator = load_generator(GENERATOR, "cpu")
    ws = generator.map(torch.randn(3, generator.z_dim, generator=torch.Generator().manual_seed(0)))
    together = generator.synthesize(ws)
    for number in range(3):
        alone = generator.synthesize(ws[number : number + 1])
        assert (together[number] - alone[0]).abs().max() < 1e-4


def test_a_saved_generator_loads_as_the_same_network(tmp_path):
    torch.manual_seed(0)
    network = StyleGAN2(StyleGAN2Config(16, 16, (16, 8), 2)).half().float()
    save_generator(network, tmp_path / "g.safetensors")
    loaded = load_generator(tmp_path / "g.safetensors", "cpu")
    ws = loaded.map(torch.randn(2, 16))
    torch.testing.assert_close(loaded.synthesize(ws), network.synthesize(ws))
    assert loaded.resolution == (8, 8)
    assert loaded.num_ws == 4


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
