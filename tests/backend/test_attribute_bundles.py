# SPDX-License-Identifier: Apache-2.0
"""Attributes in a bundle: written, read, damaged, learnt and removed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from effigy.cli import app
from effigy.faces import FIRST_BUNDLE, BundleError, load_face_model
from effigy.faces.attributes import MOST
from effigy.faces.bundle import replace_attributes
from effigy.faces.header import model_id
from effigy.faces.sharing import add_bundle, export_bundle
from effigy.faces.welcome import controls_of, welcome


@pytest.fixture(scope="module")
def model(attributed):
    return attributed


@pytest.fixture()
def folder(tmp_path):
    """A copy of the first default's bundle whose generator is a link."""
    copied = tmp_path / "copy.effigy"
    copied.mkdir()
    for path in FIRST_BUNDLE.iterdir():
        if path.name in ("model.json", "model.safetensors", "correction.safetensors", "appearance.safetensors"):
            shutil.copy(path, copied)
    header = json.loads((copied / "model.json").read_text())
    (copied / "model.json").write_text(json.dumps(header | {"attributes": None, "photo": None, "encoder": None}))
    (copied / "generator.safetensors").symlink_to(FIRST_BUNDLE / "generator.safetensors")
    return copied


def test_attributes_live_in_the_bundle_and_leave_its_id(folder, model, tmp_path):
    before = model_id(folder)
    kept = [*model.attributes.values()]
    replace_attributes(folder, kept)
    assert model_id(folder) == before
    loaded = load_face_model(folder, "cpu")
    assert loaded.sliders == [*loaded.controls, "one", "two"]
    for name, attribute in model.attributes.items():
        assert torch.equal(loaded.attributes[name].direction, attribute.direction)
        assert loaded.attributes[name].entry() == attribute.entry()
    export_bundle(folder, tmp_path / "shared.zip")
    add_bundle(tmp_path / "shared.zip", FIRST_BUNDLE / "generator.safetensors", tmp_path / "again.effigy")
    assert load_face_model(tmp_path / "again.effigy", "cpu").sliders == loaded.sliders


def test_welcome_announces_attributes_as_sliders_that_move_no_landmark(model):
    told = welcome(model)
    names = [parameter.name for parameter in told.controls]
    assert names == model.sliders
    assert [p.name for p in controls_of(model)] == list(model.controls)  # captures drive expressions alone
    looks = [p for p in told.controls if p.group == "attributes"]
    assert [(p.name, p.low, p.high, p.mirror, p.is_odd) for p in looks] == [
        ("one", -3.0, 3.0, "one", False),
        ("two", -3.0, 3.0, "two", False),
    ]
    directions = np.frombuffer(told.directions.data, "<f4").reshape(told.directions.shape)
    assert directions.shape[0] == len(names)
    assert not directions[len(model.controls) :].any()


DAMAGE = {
    "a control's name": lambda e, a: e["attributes"][0].update(name="jawOpen"),
    "a name twice": lambda e, a: e["attributes"][1].update(name=e["attributes"][0]["name"]),
    "no list": lambda e, a: e.update(attributes=3),
    "none, and no list": lambda e, a: e.update(attributes=0),
    "retired ones that are no names": lambda e, a: e.update(attributes=[], retired=[3]),
    "too many": lambda e, a: e.update(attributes=e["attributes"] * (MOST + 1)),
    "a range without zero": lambda e, a: e["attributes"][0].update(low=1.0),
    "an endless range": lambda e, a: e["attributes"][0].update(high=1e300),
    "a range of text": lambda e, a: e["attributes"][0].update(high="much"),
    "another width": lambda e, a: a.update({"direction.0": a["direction.0"][:, 1:].clone()}),
    "more rows": lambda e, a: a.update({"direction.0": a["direction.0"].repeat(5, 1)}),
    "a missing one": lambda e, a: a.pop("direction.1"),
    "not measured": lambda e, a: a.pop("seen.1"),
    "more shown than all": lambda e, a: a["shown.0"].fill_(1.5),
    "another number of controls": lambda e, a: a.update({"shown.0": a["shown.0"][1:].clone()}),
    "beyond all bounds": lambda e, a: a["seen.0"].fill_(1e30),
    "NaN": lambda e, a: a["direction.0"].fill_(float("nan")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_attributes_are_refused(folder, model, damage, monkeypatch):
    from safetensors.torch import load_file, save_file

    from effigy.faces import bundle
    from effigy.faces.header import sha256

    monkeypatch.setattr(bundle, "load_generator", lambda *_, **__: model.generator)
    replace_attributes(folder, [*model.attributes.values()])
    header = json.loads((folder / "model.json").read_text())
    arrays = load_file(folder / "attributes.safetensors")
    DAMAGE[damage](header["attributes"], arrays)
    save_file(arrays, folder / "attributes.safetensors")
    header["attributes"]["sha256"] = sha256(folder / "attributes.safetensors")
    (folder / "model.json").write_text(json.dumps(header))
    with pytest.raises(BundleError, match=r"damaged \((?!TypeError: .*lambda)"):
        load_face_model(folder, "cpu")


def test_a_missing_or_changed_file_of_attributes_is_told(folder, model, monkeypatch):
    from effigy.faces import bundle

    monkeypatch.setattr(bundle, "load_generator", lambda *_, **__: model.generator)
    replace_attributes(folder, [*model.attributes.values()])
    path = folder / "attributes.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BundleError, match="learn-attributes"):
        load_face_model(folder, "cpu")
    path.unlink()
    with pytest.raises(BundleError, match="there is no"):
        load_face_model(folder, "cpu")


def test_the_verb_learns_removes_and_never_gives_a_name_another_meaning(tmp_path):
    copied = tmp_path / "whole.effigy"
    shutil.copytree(FIRST_BUNDLE, copied)
    before = set(load_face_model(copied, "cpu").attributes)
    run = CliRunner().invoke
    said = run(app, ["bundle", "learn-attributes", str(copied), "--add", "mine=sefa:2@4-7", "--people", "4"])
    assert said.exit_code == 0, said.output
    assert "mine: at ±2 pose moves by" in said.output
    learnt = load_face_model(copied, "cpu")
    assert set(learnt.attributes) == before | {"mine"}
    assert learnt.attributes["mine"].seen.any()
    for arguments, why in (
        (["--add", "mine=sefa:1"], "asked for already"),
        (["--add", "yaw=sefa:1"], "asked for already"),
        (["--add", "mine"], "NAME=SOURCE"),
        (["--add", "a=sefa:1", "--add", "a=sefa:2"], "gives a twice, sefa:1 and sefa:2"),
        (["--remove", "nobody"], "there is no attribute nobody"),
        (["--add", "a=nothing.npy"], "there is no source"),
    ):
        refused = run(app, ["bundle", "learn-attributes", str(copied), *arguments])
        assert (refused.exit_code, why in refused.output) == (2, True), refused.output
    assert run(app, ["bundle", "learn-attributes", str(copied), "--remove", "mine"]).exit_code == 0
    assert set(load_face_model(copied, "cpu").attributes) == before
    again = run(app, ["bundle", "learn-attributes", str(copied), "--add", "mine=sefa:1"])
    assert again.exit_code == 2
