# SPDX-License-Identifier: Apache-2.0
"""Weights of every format give the official network."""

from __future__ import annotations

import pytest
import torch

from effigy.generators import GeneratorFileError, convert_generator, load_generator

from ..closeness import assert_same, roundings_of
from .checkpoint_files import (
    NAMES,
    assert_official,
    nvidia,
    parity,
    rosinality,
    tensorflow,
)


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_nvidias_snapshots_are_read(tmp_path, name, protocol):
    kwargs, state, data = parity(name)
    generator = assert_official(nvidia(tmp_path / "g.pkl", kwargs, state, protocol), data)
    assert generator.resolution == tuple(data["img_w"].shape[2:])


def test_a_snapshot_that_has_no_arguments_is_read_from_its_layers(tmp_path):
    _, state, data = parity("sg2-32")
    path = nvidia(tmp_path / "g.pkl", {"c_dim": 0, "conv_clamp": 256}, state)
    assert_official(path, data)


@pytest.mark.parametrize("protocol", [3, 4])
def test_the_tensorflow_tuple_is_read(tmp_path, protocol):
    kwargs, state, data = parity("sg2-32")
    assert_official(tensorflow(tmp_path / "g.pkl", kwargs, state, protocol), data)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_rosinalitys_files_are_read(tmp_path, zipped, training):
    _, state, data = parity("sg2-32")
    path = rosinality(tmp_path / "g.pt", state, zipped=zipped, training=training)
    if not training:
        assert_official(path, data)
        return
    generator = load_generator(path, "cpu")
    made = generator.synthesize(data["w"])
    assert_same(made, data["img_w"], roundings_of(generator))
    mean = generator.map(torch.randn(5000, 64))[:, 0].mean(dim=0)
    assert (generator.w_avg - mean).norm() < 0.15 * mean.norm(), "w_avg is the mean of w"


@pytest.mark.parametrize("name", NAMES)
def test_a_converted_file_paints_the_same_bits(tmp_path, name):
    kwargs, state, data = parity(name)
    source = nvidia(tmp_path / "g.pkl", kwargs, state)
    convert_generator(source, tmp_path / "g.safetensors")
    with torch.no_grad():
        pictures = [load_generator(p, "cpu").synthesize(data["w"]) for p in (source, tmp_path / "g.safetensors")]
    assert torch.equal(*pictures)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"c_dim": 10}, "conditional"),
        ({"architecture": "resnet"}, "resnet"),
        ({"activation": "relu"}, "activation"),
    ],
)
def test_a_network_that_effigy_has_not_is_named(tmp_path, change, reason):
    kwargs, state, _ = parity("sg2-32")
    path = nvidia(tmp_path / "g.pkl", kwargs | change, state)
    with pytest.raises(GeneratorFileError, match=reason):
        load_generator(path, "cpu")
