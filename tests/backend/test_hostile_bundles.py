# SPDX-License-Identifier: Apache-2.0
"""A bundle that cannot be used is refused at load, with one clear error."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from effigy.array_files import read_arrays
from effigy.cli import app
from effigy.faces import FIRST_BUNDLE, BundleError, bundle, load_face_model, load_paper_regressor
from effigy.faces.welcome import welcome
from effigy.generators import GeneratorFileError, load_generator
from effigy.landmarks import DetectorError, EmbeddedDetector, load_detector
from effigy.recognition import ArcFace, EmbeddedIdentity, IdentityFileError
from effigy_protocol import decode_reply, encode
from effigy_protocol.files import file_problem


@pytest.fixture()
def folder(tmp_path):
    """Returns a copy of the embedded default; what no test changes is a link."""
    copied = tmp_path / "copy.effigy"
    copied.mkdir()
    for path in FIRST_BUNDLE.iterdir():
        if path.name in ("model.json", "model.safetensors"):
            shutil.copy(path, copied)
        else:
            (copied / path.name).symlink_to(path)
    return copied


@pytest.fixture()
def quick(monkeypatch, default_model):
    """Loads the generator only once for all tests."""
    monkeypatch.setattr(bundle, "load_generator", lambda *_, **__: default_model.generator)


def rewrite(folder, change):
    """Changes the header; ``change`` receives it and may return the text to write."""
    header = json.loads((folder / "model.json").read_text())
    text = change(header)
    (folder / "model.json").write_text(text if isinstance(text, str) else json.dumps(header))


def change_arrays(folder, change):
    arrays = load_file(folder / "model.safetensors")
    change(arrays)
    save_file(arrays, folder / "model.safetensors")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    rewrite(folder, lambda header: header.update(model_sha256=digest))


def refusal(folder):
    """Returns why the bundle is refused, which ``effigy generators inspect`` says, too."""
    with pytest.raises(BundleError) as caught:
        load_face_model(folder, "cpu")
    assert len(str(caught.value)) < 2000
    inspected = CliRunner().invoke(app, ["generators", "inspect", str(folder)])
    assert inspected.exit_code == 2
    assert str(caught.value) in inspected.output
    return str(caught.value)


def leaves(value, path=()):
    """Returns the paths to all values in a header, one for each list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        yield (*path, 0)
        yield from leaves(value[0], (*path, 0))
    yield path


STRANGE = [
    None,
    "text",
    -1,
    0,
    1e30,
    10**40,
    10**9,
    True,
    [],
    {},
    [1, 2],
    {"a": 1},
    "x" * 2**20,
    "\0",
    "../x",
    "9" * 5000,
]


def test_a_header_with_any_value_in_any_place_is_refused_or_describes_a_model(folder, quick):
    dice, good = random.Random(0), json.loads((folder / "model.json").read_text())
    tried = [(path, value) for path in leaves(good) if path for value in STRANGE]
    refused = 0
    for path, value in dice.sample(tried, 120):
        header = copy.deepcopy(good)
        place = header
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        (folder / "model.json").write_text(json.dumps(header))
        try:
            model = load_face_model(folder, "cpu")
        except BundleError:
            refused += 1
        else:
            decode_reply(encode(0, welcome(model)))
    assert 70 < refused < 110, "where it is no more than a name or a figure, it is read"


@pytest.mark.parametrize(
    "change",
    [
        lambda header: json.dumps(header).replace('"pose_range": [', '"pose_range": [NaN, '),
        lambda header: json.dumps(header).replace('"high": 1.0', '"high": Infinity', 1),
        lambda header: json.dumps(header).replace('"high": 1.0', '"high": 1e999', 1),
        lambda header: json.dumps(header).replace('"high": 1.0', '"high": "wide"', 1),
        lambda header: header["controls"][0].update(low=0.5),
        lambda header: header["controls"][0].update(high=1e308),
        lambda header: header["controls"][0].update(name=header["controls"][1]["name"] + "x" * 9000),
        lambda header: header.update(name="x" * 2**20),
        lambda header: header.update(pose_range=[-3.0, 3.0]),
        lambda header: header.update(pose_range=[1e308, 1e308]),
        lambda header: header.update(pose_range=[30.0, 200.0]),
        lambda header: header.update(pose_range=[30.0, 20.0, 10.0]),
        lambda header: header.update(pose_range={"0": 30.0}),
        lambda header: header["regressor"].update(depth=10**7),
        lambda header: header["regressor"].update(width=10**9),
        lambda header: header["appearance"]["head"].update(width=0),
        lambda header: header["regressor"].update(rows=10**12),
        lambda header: header["regressor"].update(rows=3),
        lambda header: header.update(generator="sha256"),
        lambda header: header.update(format="9" * 10**6),
        lambda header: "[" * 100_000,
        lambda header: '{"format": ' + "[" * 100_000,
        lambda header: '{"format": ' + "9" * 100_000 + "}",
        lambda header: " " * (17 << 20),
    ],
)
def test_what_cannot_be_sent_or_used_is_refused_at_load(folder, quick, change):
    rewrite(folder, change)
    refusal(folder)


@pytest.mark.parametrize(
    "name", ["shape.mean", "shape.noise", "controls.directions", "regressor.q_scale", "regressor.linear.weight"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused_by_name(folder, quick, name, value):
    def break_one(arrays):
        arrays[name].view(-1)[0] = value

    change_arrays(folder, break_one)
    assert f"{name} holds NaN or infinite values" in refusal(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.update({"regressor.q_mean": torch.full_like(arrays["regressor.q_mean"], 1e38)}),
        lambda arrays: arrays.update({"shape.mean": arrays["shape.mean"][:, :60].contiguous()}),
        lambda arrays: arrays.update({"shape.basis": arrays["shape.basis"][:3].contiguous()}),
        lambda arrays: arrays.update({"controls.readings": arrays["controls.readings"][:, :3].contiguous()}),
        lambda arrays: arrays.update({"regressor.whitening.basis": torch.zeros(3, 3)}),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(folder, quick, change):
    change_arrays(folder, change)
    refusal(folder)


def test_the_papers_regressor_is_held_to_the_same(folder):
    assert load_paper_regressor(folder) is not None
    path = folder / "paper.safetensors"
    content = path.read_bytes()
    path.unlink()  # the link
    assert content.count(b'\\"depth\\": ') == 1
    start = content.index(b'\\"depth\\": ') + len(b'\\"depth\\": ')
    path.write_bytes(content[:start] + b"9" + content[start + 1 :])
    with pytest.raises(BundleError, match="damaged"):
        load_paper_regressor(folder)


def no_files(folder):
    """Returns paths that are not regular files, and would hang or fail in different ways."""
    os.mkfifo(folder / "pipe")
    (folder / "circle").symlink_to(folder / "circle")
    return [folder / "pipe", folder / "circle", folder / ("x" * 5000), folder / "a\0b", folder, folder / "absent"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_only_regular_files_are_opened(tmp_path):
    paths = no_files(tmp_path)
    if (zero := Path("/dev/zero")).exists():  # which never ends
        paths.append(zero)
    for path in paths:
        assert file_problem(path)
        with pytest.raises(GeneratorFileError):
            load_generator(path, "cpu")
        with pytest.raises(IdentityFileError):
            ArcFace(path)
        with pytest.raises(IdentityFileError):
            EmbeddedIdentity(path)
        with pytest.raises(DetectorError):
            EmbeddedDetector(path)
        with pytest.raises(DetectorError):
            load_detector(f"{path}.task", path)
        with pytest.raises(ValueError):
            read_arrays(path)
        with pytest.raises(BundleError):
            load_face_model(path, "cpu")
        for command in (["generators", "inspect", str(path)], ["nrsfm", str(path), "--out", str(tmp_path / "fit.npz")]):
            ran = CliRunner().invoke(app, command)
            assert ran.exit_code == 2, (command[0], ran.exception)
            assert "Traceback" not in ran.output


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "generator.safetensors"])
def test_a_pipe_in_a_bundle_does_not_hang(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BundleError):
        load_face_model(folder, "cpu")


def test_a_detector_of_nan_is_refused(tmp_path):
    arrays = load_file(FIRST_BUNDLE / "detector.safetensors")
    arrays["context.bias"][0] = float("nan")
    save_file(arrays, tmp_path / "detector.safetensors")
    with pytest.raises(DetectorError, match="context.bias holds NaN"):
        EmbeddedDetector(tmp_path / "detector.safetensors")


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), "[enforce fail] DefaultCPUAllocator: can't"]
)
def test_what_does_not_fit_into_memory_is_not_called_damaged(folder, tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise RuntimeError(error) if isinstance(error, str) else error

    np.savez(tmp_path / "a.npz", W=np.zeros(3))
    monkeypatch.setattr("effigy.faces.bundle.load_generator", fail)
    monkeypatch.setattr("effigy.generators.checkpoints.open.skeleton", fail)
    monkeypatch.setattr("effigy.array_files._read", fail)
    with pytest.raises(BundleError, match="does not fit into the memory") as of_bundle:
        load_face_model(folder, "cpu")
    with pytest.raises(GeneratorFileError, match="does not fit into the memory") as of_generator:
        load_generator(folder / "generator.safetensors", "cpu")
    if isinstance(error, MemoryError):
        with pytest.raises(ValueError, match="does not fit into the memory"):
            read_arrays(tmp_path / "a.npz")
    assert "damaged" not in f"{of_bundle.value} {of_generator.value}"
