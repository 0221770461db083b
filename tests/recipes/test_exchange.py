# SPDX-License-Identifier: Apache-2.0
"""Giving a fitted face model another generator that shows the same."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from effigy.faces import BundleError, load_face_model
from effigy.faces.bundle import replace_attributes
from effigy.faces.embedded import DEFAULT_BUNDLE
from effigy.faces.header import read_header
from effigy.generators.load import save_generator
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2
from recipes.demo_face import exchange
from recipes.demo_face.__main__ import app
from recipes.demo_face.storage import read_trainable
from recipes.demo_face.widen import widened


@pytest.fixture()
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(exchange, "_PICTURES", 8)
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "face.effigy"))


@pytest.fixture()
def network(bundle: Path):
    return read_trainable(bundle / "generator.safetensors").requires_grad_(False)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_generator_of_larger_pictures_takes_the_place_of_the_fitted_one(bundle: Path, network, tmp_path: Path):
    before, model = read_header(bundle), load_face_model(bundle, "cpu")
    save_generator(widened(network, (*network.config.channels, 8)), tmp_path / "g.safetensors")
    ran = CliRunner().invoke(app, ["exchange", str(tmp_path / "g.safetensors"), str(bundle)])
    assert ran.exit_code == 0, ran.output
    after = read_header(bundle)
    assert {**after, "generator": None} == {**before, "generator": None}
    larger = load_face_model(bundle, "cpu")
    assert larger.model_id != model.model_id
    assert larger.generator.resolution == tuple(2 * size for size in model.generator.resolution)
    one, other = (each.edit(each.open_seed(3), 15.0, 0.0, {"jawOpen": 0.5}) for each in (model, larger))
    assert other.pose.yaw == pytest.approx(one.pose.yaw, abs=1e-3)
    assert larger.paint(other.ws[None]).shape[1:3] == larger.generator.resolution


def shown_elsewhere(network):
    network.synthesis.blocks()[0].const.mul_(-1)


def of_other_colours(network):
    network.synthesis.blocks()[-1].torgb.bias[0] += 0.1


def cut_out_the_other_way(network):
    for block in network.synthesis.blocks():
        block.torgb.weight[3] *= -1
        block.torgb.bias[3] *= -1


def far_away(network):
    network.synthesis.blocks()[-1].torgb.bias[7] = 1e30


def of_another_mapping(network):
    network.mapping.w_avg += 0.2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shown_elsewhere, "landmarks .* % apart, over 0.8: fit the model again"),
        (of_other_colours, "red .* of 255 apart, over 2.0: fit the model again"),
        (cut_out_the_other_way, "alpha .* of 255 apart, over 2.0: fit the model again"),
        (far_away, "depth .* of 255 apart, over 2.0: fit the model again"),
        (of_another_mapping, "map z to different w: fit the model again"),
    ],
)
def test_a_generator_that_shows_something_else_is_refused_and_nothing_changes(
    bundle: Path, network, tmp_path: Path, change, reason
):
    change(network)
    save_generator(network, tmp_path / "g.safetensors")
    before = files_of(bundle)
    with pytest.raises(ValueError, match=reason):
        exchange.exchange(tmp_path / "g.safetensors", bundle)
    assert files_of(bundle) == before


@pytest.mark.parametrize("width", ["z_dim", "w_dim"])
def test_a_generator_of_other_latents_is_refused(bundle: Path, network, tmp_path: Path, width: str):
    other = StyleGAN2(replace(network.config, **{width: 128}))
    initialize(other)
    save_generator(other, tmp_path / "g.safetensors")
    with pytest.raises(ValueError, match=f"{width} {getattr(network.config, width)} and 128: fit the model again"):
        exchange.exchange(tmp_path / "g.safetensors", bundle)


def test_a_generator_that_is_not_the_fitted_one_any_more_is_not_compared(bundle: Path, network, tmp_path: Path):
    shown_elsewhere(network)
    save_generator(network, bundle / "generator.safetensors")
    shutil.copyfile(bundle / "generator.safetensors", tmp_path / "g.safetensors")
    with pytest.raises(BundleError, match="is not the generator that .* was fitted to"):
        exchange.exchange(tmp_path / "g.safetensors", bundle)


def test_a_model_that_reads_each_layers_w_keeps_its_generator(bundle: Path, monkeypatch):
    model, before = load_face_model(bundle, "cpu"), files_of(bundle)
    model.regressor.rows = 12
    monkeypatch.setattr(exchange, "load_face_model", lambda *_: model)
    with pytest.raises(ValueError, match="reads each layer's own w"):
        exchange.exchange(bundle / "generator.safetensors", bundle)
    assert files_of(bundle) == before


def test_attributes_of_each_layer_keep_their_generator(bundle: Path, network, tmp_path: Path):
    save_generator(widened(network, (*network.config.channels, 8)), tmp_path / "g.safetensors")
    model = load_face_model(bundle, "cpu")
    wide = [replace(each, direction=each.direction.expand(network.num_ws, -1)) for each in model.attributes.values()]
    replace_attributes(bundle, wide)
    with pytest.raises(ValueError, match="reads each layer's own w"):
        exchange.exchange(tmp_path / "g.safetensors", bundle)


def test_what_is_compared_is_what_takes_the_place(bundle: Path, network, tmp_path: Path, monkeypatch):
    new, before = tmp_path / "g.safetensors", files_of(bundle)
    save_generator(network, new)
    compare = exchange._apart

    def replaced_meanwhile(*given):
        found = compare(*given)
        shown_elsewhere(network)
        save_generator(network, new)
        return found

    monkeypatch.setattr(exchange, "_apart", replaced_meanwhile)
    with pytest.raises(ValueError, match="was replaced while they were compared: try again"):
        exchange.exchange(new, bundle)
    assert files_of(bundle) == before
