# SPDX-License-Identifier: Apache-2.0
"""Fits without weights: exported, added to the user's own generator, refused where they are none."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from effigy.cli import app
from effigy.faces import FIRST_BUNDLE, BundleError, load_face_model
from effigy.faces.sharing import add_bundle, export_bundle

GENERATOR = FIRST_BUNDLE / "generator.safetensors"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("shared") / "face.effigy.zip"
    ran = CliRunner().invoke(app, ["bundle", "export", "first-default", "--out", str(path)])
    assert ran.exit_code == 0, ran.output
    return path


def test_a_shared_fit_is_the_same_model(exported, default_model, tmp_path):
    with zipfile.ZipFile(exported) as archive:
        assert set(archive.namelist()) == {"model.json", *(n for n in archive.namelist() if n.endswith(".safetensors"))}
        assert "generator.safetensors" not in archive.namelist()
        assert b"/" not in archive.read("model.json").split(b'"generator"')[1][:100], "no path of its maker's machine"
    out = tmp_path / "face.effigy"
    ran = CliRunner().invoke(app, ["bundle", "add", str(exported), "--generator", str(GENERATOR), "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    model = load_face_model(out, "cpu")
    assert model.model_id == default_model.model_id
    assert not (out / "generator.safetensors").exists()
    again = tmp_path / "again.zip"
    export_bundle(out, again)
    assert again.read_bytes() == exported.read_bytes()


def test_another_generator_is_refused_and_leaves_nothing(exported, tmp_path):
    with pytest.raises(BundleError, match="was fitted to another generator"):
        add_bundle(exported, FIRST_BUNDLE / "detector.safetensors", tmp_path / "face.effigy")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("../evil.py", b"", "which no exported bundle does"),
        ("model.pkl", b"", "which no exported bundle does"),
        ("model.json", b"[]", "names no generator"),
        ("model.json", b'{"generator": {"sha256": 3}}', "names no generator"),
        ("model.safetensors", b"", "not an exported bundle, or damaged"),
    ],
)
def test_what_is_no_exported_bundle_is_refused(tmp_path, name, data, said):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, data)
    with pytest.raises(BundleError, match=said):
        add_bundle(path, GENERATOR, tmp_path / "face.effigy")
    assert [each.name for each in tmp_path.iterdir()] == ["bad.zip"]


def test_a_file_cut_short_is_refused(exported, tmp_path):
    cut = tmp_path / "cut.zip"
    cut.write_bytes(exported.read_bytes()[:100_000])
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["bundle", "add", str(cut), "--generator", str(GENERATOR), "--out", str(tmp_path / "x.effigy")]
    )
    assert ran.exit_code == 2
    assert "not an exported bundle, or damaged" in ran.output


def test_nothing_that_is_there_is_replaced(exported, tmp_path):
    with pytest.raises(BundleError, match="is there already"):
        add_bundle(exported, GENERATOR, tmp_path)
    with pytest.raises(BundleError, match="is not a face model"):
        export_bundle(tmp_path, tmp_path / "x.zip")
    before = exported.read_bytes()
    ran = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["bundle", "export", "first-default", "--out", str(exported)])
    assert ran.exit_code == 2
    assert "is there already" in ran.output
    assert exported.read_bytes() == before
