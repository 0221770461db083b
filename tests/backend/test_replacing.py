# SPDX-License-Identifier: Apache-2.0
"""A process that is killed while a bundle is replaced leaves the old one or the new one; what cannot be written is told
before the work.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from effigy.cli import app
from effigy.faces import FIRST_BUNDLE, bundle, is_bundle, load_face_model
from effigy.faces.bundle import add_encoder, add_photo_map, replace_attributes, replace_learnt, save_face_model
from effigy.faces.header import read_header
from effigy.faces.replacing import check_replaceable
from effigy.faces.sharing import export_bundle
from effigy.fitting import attribute_learning, encoder_learning, fit, photo_learning

PARTS = ("model.json", "model.safetensors", "correction.safetensors", "appearance.safetensors")


@pytest.fixture()
def folder(tmp_path):
    """A copy of the first default's bundle, whose generator is a link."""
    copied = tmp_path / "copy.effigy"
    copied.mkdir()
    for name in PARTS:
        shutil.copy(FIRST_BUNDLE / name, copied)
    header = json.loads((copied / "model.json").read_text())
    (copied / "model.json").write_text(json.dumps(header | {"attributes": None, "photo": None, "encoder": None}))
    (copied / "generator.safetensors").symlink_to(FIRST_BUNDLE / "generator.safetensors")
    return copied


def fitted(folder, model):
    """Another fit over the one that is there: another regressor, other limits, and no networks that keep looks."""
    header = {name: read_header(folder)[name] for name in ("name", "topology", "report")}
    model.regressor.q_mean[0] += 0.01
    generator = folder / "generator.safetensors"
    controls = [*model.controls.values()]
    save_face_model(
        folder,
        header | {"pose_range": [1.0, 1.0]},
        model.shape,
        model.regressor,
        controls,
        None,
        None,
        generator,
        model.generator_sha256,
    )


CHANGES = {
    "model": fitted,
    "photo": lambda folder, model: add_photo_map(folder, model.photo_map),
    "encoder": lambda folder, model: add_encoder(folder, model.encoder),
    "attributes": lambda folder, model: replace_attributes(folder, [*model.attributes.values()]),
    "nothing": lambda folder, model: replace_learnt(folder, None, None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whoever_is_stopped_while_a_bundle_is_replaced_leaves_the_one_before_or_the_new_one(
    folder, default_model, change, monkeypatch
):
    """Stopped at each moment at which a file or folder gets its name."""
    model = load_face_model(FIRST_BUNDLE, "cpu")
    monkeypatch.setattr(bundle, "load_generator", lambda *_, **__: default_model.generator)
    before = read_header(folder)
    (folder / "learnt.part").mkdir()  # a killed run's
    found = []
    for moment in range(12):
        copied = shutil.copytree(folder, folder.with_name(f"stopped-{moment}"), symlinks=True)
        left = moment
        with monkeypatch.context() as stopping:
            for name in ("replace", "rename"):

                def stop(source, target, rename=getattr(Path, name)):
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise KeyboardInterrupt
                    return rename(source, target)

                stopping.setattr(Path, name, stop)
            with contextlib.suppress(KeyboardInterrupt):
                CHANGES[change](copied, model)
        load_face_model(copied, "cpu")
        found.append(read_header(copied) != before)
        assert not (copied / "learnt").exists()
        if left >= 0:
            break
    assert left >= 0, "it is never done"
    assert found == sorted(found), "first the one before, then the new one"
    assert found[0] is False


def test_no_link_in_a_bundle_is_followed(folder, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    (folder / "learnt").symlink_to(own, target_is_directory=True)
    read_header(folder)
    assert (own / "notes.txt").read_text() == "mine"


def test_trying_a_folder_leaves_nothing_behind(folder, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    check_replaceable(tmp_path / "new" / "folders" / "my.effigy")
    check_replaceable(folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_first_fit_that_is_stopped_while_its_files_move_is_a_face_model(folder):
    whole = folder / "learnt"
    for use in (read_header, load_face_model, lambda folder: export_bundle(folder, folder.with_name("shared.zip"))):
        whole.mkdir()
        (folder / "model.json").rename(whole / "model.json")  # the last that moves
        assert is_bundle(str(folder))
        use(folder)
        assert not whole.exists()


LEARN = {
    "photos": (photo_learning, "learn_photo_map", ("learn-photos",)),
    "people": (encoder_learning, "learn_encoder", ("learn-people",)),
    "attributes": (attribute_learning, "learn", ("learn-attributes",)),
    "fit": (fit, "sample", ()),
}


@pytest.mark.parametrize("what", LEARN)
def test_a_folder_that_cannot_be_written_is_told_before_the_work(folder, what, tmp_path, monkeypatch):
    def refuse(path, *arguments, make=Path.mkdir, **keywords):
        if path.parent == folder:
            raise PermissionError(30, "Read-only file system", str(path))
        make(path, *arguments, **keywords)

    module, work, command = LEARN[what]
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(module, work, lambda *_, **__: pytest.fail("it began"))
    asked = ["bundle", *command, str(folder)]
    if not command:
        asked = ["fit", "--generator", "first-default", "--out", str(folder), "--work", str(tmp_path / "samples")]
    ran = CliRunner(env={"COLUMNS": "300"}).invoke(app, asked)
    assert ran.exit_code == 2
    assert "Read-only file system" in ran.output
