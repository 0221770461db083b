# SPDX-License-Identifier: Apache-2.0
"""Effigy's own generator files: saved, loaded, damaged."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from effigy.generators import GeneratorFileError, load_generator, save_generator
from effigy.generators.networks.configs import StyleGAN2Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2

from ..closeness import assert_same, roundings_of
from .official_networks import GENERATOR


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
