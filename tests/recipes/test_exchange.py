# SPDX-License-Identifier: Apache-2.0
"""Giving a fitted face model another generator that shows the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from effigy.faces import load_face_model
from effigy.faces.embedded import DEFAULT_BUNDLE
from effigy.faces.header import model_id
from effigy.generators.load import save_generator
from recipes.demo_face import exchange
from recipes.demo_face.storage import read_trainable


@pytest.fixture()
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(exchange, "_PICTURES", 8)
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "face.effigy"))


@torch.no_grad()
def test_a_generator_that_shows_the_same_takes_the_place_of_the_fitted_one(bundle: Path, tmp_path: Path):
    network = read_trainable(bundle / "generator.safetensors")
    network.synthesis.blocks()[-1].torgb.bias[:3] += 0.01
    save_generator(network, tmp_path / "g.safetensors")
    before = model_id(bundle)
    assert 0 < exchange.exchange(tmp_path / "g.safetensors", bundle) < 0.1
    assert model_id(bundle) != before
    model = load_face_model(bundle, "cpu")
    brighter = model.paint(model.open_seed(1).ws[None]).astype(int)
    old = load_face_model(DEFAULT_BUNDLE, "cpu")
    assert (brighter - old.paint(old.open_seed(1).ws[None]))[..., :3].mean() == pytest.approx(1.275, abs=0.3)


@torch.no_grad()
def test_a_generator_that_shows_something_else_is_refused_and_nothing_is_changed(bundle: Path, tmp_path: Path):
    network = read_trainable(bundle / "generator.safetensors")
    network.synthesis.blocks()[0].const.mul_(-1)
    save_generator(network, tmp_path / "g.safetensors")
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    with pytest.raises(ValueError, match="elsewhere, over 0.5 %: fit the model again"):
        exchange.exchange(tmp_path / "g.safetensors", bundle)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
