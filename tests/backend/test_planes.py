# SPDX-License-Identifier: Apache-2.0
"""Generators with more or fewer planes than RGB are read, named and shown, in files of every origin."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from effigy.generators import GeneratorFileError, convert_generator, load_generator, save_generator
from effigy.generators.networks.configs import StyleGAN2Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2
from effigy.generators.planes import RGB, check_planes, colour

from ..closeness import assert_same, roundings_of
from .checkpoint_files import nvidia, parity, rosinality, tensorflow

DEFAULTS = (*RGB, "alpha", "normal_x", "normal_y", "normal_z", "depth")


def repainted(name, order):
    """Returns a parity fixture with its picture channels in ``order``, for instance (0, 1, 2, 2)."""
    kwargs, state, data = parity(name)
    last = max((key for key in state if re.match(r"synthesis\.L\d+", key)), key=_layer, default=None)
    changed = {}
    for key, value in state.items():
        paints = ".torgb." in key or (last is not None and key.startswith(last.rpartition(".")[0] + "."))
        if paints and key.endswith((".weight", ".bias")) and ".affine." not in key:
            value = value[list(order)]
        if last is not None and _layer(key) == _layer(last):
            key = re.sub(r"_3\.", f"_{len(order)}.", key, count=1)
        changed[key] = value
    return kwargs | {"img_channels": len(order)}, changed, data


def _layer(key):
    found = re.match(r"synthesis\.L(\d+)", key)
    return int(found[1]) if found else -1


@pytest.mark.parametrize(("order", "planes"), [((1,), ("grey",)), ((0, 1, 2, 1), (*RGB, "alpha"))])
@pytest.mark.parametrize("name", ["sg2-32", "sg3t-32", "sg3r-32"])
def test_grey_pictures_and_those_with_alpha_are_read_from_nvidias_files(tmp_path, name, order, planes):
    kwargs, state, data = repainted(name, order)
    generator = load_generator(nvidia(tmp_path / "g.pkl", kwargs, state), "cpu")
    assert generator.planes == planes
    images = generator.synthesize(data["w"])
    assert_same(images, data["img_w"][:, list(order)], roundings_of(generator))
    assert_same(colour(images, planes), data["img_w"][:, list(order * 3)[:3]], roundings_of(generator))
    convert_generator(tmp_path / "g.pkl", tmp_path / "g.safetensors")
    again = load_generator(tmp_path / "g.safetensors", "cpu")
    assert again.planes == planes
    assert torch.equal(again.synthesize(data["w"]), images)


@pytest.mark.parametrize("write", [tensorflow, lambda path, kwargs, state: rosinality(path, state)])
def test_other_formats_have_alpha_too(tmp_path, write):
    kwargs, state, data = repainted("sg2-32", (0, 1, 2, 1))
    generator = load_generator(write(tmp_path / "g.file", kwargs, state), "cpu")
    assert generator.planes == (*RGB, "alpha")
    assert_same(generator.synthesize(data["w"]), data["img_w"][:, [0, 1, 2, 1]], roundings_of(generator))


def test_channels_that_nothing_names_are_refused(tmp_path):
    kwargs, state, _ = repainted("sg2-32", (0, 1))
    with pytest.raises(GeneratorFileError, match="have 2 channels, and nothing says what they are"):
        load_generator(nvidia(tmp_path / "g.pkl", kwargs, state), "cpu")


def test_channels_that_are_not_those_announced_are_refused(tmp_path):
    kwargs, state, _ = repainted("sg2-32", (0, 1, 2, 1))
    with pytest.raises(GeneratorFileError, match="have 4 channels, and are said to have 3"):
        load_generator(nvidia(tmp_path / "g.pkl", kwargs | {"img_channels": 3}, state), "cpu")


def test_our_own_files_name_their_planes(tmp_path):
    network = StyleGAN2(StyleGAN2Config(16, 16, (8, 8), 2, planes=DEFAULTS))
    initialize(network)
    save_generator(network, tmp_path / "g.safetensors")
    generator = load_generator(tmp_path / "g.safetensors", "cpu")
    assert generator.planes == DEFAULTS
    images = generator.synthesize(generator.map(torch.randn(2, 16)))
    assert images.shape == (2, 8, 8, 8)
    assert torch.equal(colour(images, DEFAULTS), images[:, :3])
    with safe_open(tmp_path / "g.safetensors", framework="pt") as file:
        metadata = file.metadata()
    said = json.loads(metadata["stylegan2"])
    for planes in (["red", "green", "blue"], [*RGB, "smell"], "rgb", 3):
        metadata["stylegan2"] = json.dumps(said | {"planes": planes})
        save_file(load_file(tmp_path / "g.safetensors"), tmp_path / "h.safetensors", metadata)
        with pytest.raises(GeneratorFileError):
            load_generator(tmp_path / "h.safetensors", "cpu")


@pytest.mark.parametrize("planes", [(), ("alpha",), ("red",), ("green", "red", "blue"), (*RGB, "grey"), (*RGB, "red")])
def test_planes_begin_with_their_colour_and_are_there_once(planes):
    with pytest.raises(ValueError, match="no picture has the planes"):
        check_planes(planes)


def test_grey_is_shown_as_colour():
    images = torch.rand(2, 2, 4, 4)
    assert torch.equal(colour(images, ("grey", "alpha")), images[:, [0, 0, 0]])
    assert colour(torch.rand(1, 3, 2, 2), RGB).shape == (1, 3, 2, 2)
