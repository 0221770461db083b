# SPDX-License-Identifier: Apache-2.0
"""docs/extend/generator.md: a package brings an architecture, and no file of Effigy's changes."""

from __future__ import annotations

import pytest
import torch

from effigy.commands.inspect import inspect_generator
from effigy.generators import GeneratorFileError, convert_generator, load_generator, registry

from .pages import install

SIZE = 32  # pixels of the test's mosaics


@pytest.fixture()
def mosaic(tmp_path, monkeypatch):
    """The page's package, installed with its entry point; returns its module."""
    with install("generator.md", "mosaic", tmp_path / "site", monkeypatch, registry) as module:
        yield module


@pytest.fixture()
def file(mosaic, tmp_path):
    """A state dict of a random mosaic, as a training saves it, and the network."""
    torch.manual_seed(0)
    network = mosaic.Mosaic(mosaic.MosaicConfig(z_dim=8, w_dim=6, tiles=SIZE // mosaic.TILE))
    torch.save({"g_ema": network.state_dict()}, tmp_path / "mosaic.pt")
    return tmp_path / "mosaic.pt", network


def test_a_file_of_it_is_inspected_and_painted(file):
    path, network = file
    found = inspect_generator(path)
    assert (found["architecture"], found["tiles"]) == ("Mosaic", "4 × 4")
    loaded = load_generator(path, "cpu")
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = network.synthesize(network.map(z, 0.7))
        pictures = loaded.synthesize(loaded.map(z, 0.7))
    assert pictures.shape == (3, 3, SIZE, SIZE)
    assert torch.equal(pictures, wanted)
    assert torch.equal(loaded.map(z, 0.0), loaded.map(2 * z, 0.0))  # truncation 0 is the mean


def test_a_converted_file_is_the_same_generator(file, tmp_path):
    path, _ = file
    convert_generator(path, tmp_path / "mosaic.safetensors")
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    one, other = load_generator(path, "cpu"), load_generator(tmp_path / "mosaic.safetensors", "cpu")
    with torch.no_grad():
        assert torch.equal(one.synthesize(one.map(z)), other.synthesize(other.map(z)))


def state(tiles):
    """Tensors of zeros, with the names and shapes of a mosaic."""
    colours = 3 * tiles**2
    return {
        "mapping.weight": torch.zeros(6, 8),
        "mapping.bias": torch.zeros(6),
        "colours.weight": torch.zeros(colours, 6),
        "colours.bias": torch.zeros(colours),
    }


def test_a_strangers_file_is_refused_before_anything_is_built(mosaic, tmp_path):
    torch.save({"g_ema": state(129)}, tmp_path / "large.pt")
    with pytest.raises(GeneratorFileError, match="1 to 128 tiles"):
        load_generator(tmp_path / "large.pt", "cpu")


def test_without_the_package_it_is_no_generator(tmp_path):
    torch.save({"g_ema": state(4)}, tmp_path / "mosaic.pt")
    with pytest.raises(GeneratorFileError):
        load_generator(tmp_path / "mosaic.pt", "cpu")
