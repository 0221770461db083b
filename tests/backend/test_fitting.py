# SPDX-License-Identifier: Apache-2.0
"""Samples, and the fit of a face model to them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from imageio.v3 import imread

from effigy.editing import PRESETS, InverseOptions, appearance_training
from effigy.editing.patches import THUMBNAIL
from effigy.faces import (
    FIRST_BUNDLE,
    describe_looks,
    load_face_model,
    load_paper_regressor,
)
from effigy.fitting import samples
from effigy.fitting.fit import FitPlan, _followed, fit_face_model
from effigy.fitting.report import write_report
from effigy.generators import load_generator
from effigy.landmarks import EmbeddedDetector
from effigy.recognition import EmbeddedIdentity


def test_samples_resume_and_do_not_depend_on_how_they_were_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "SHARD", 20)
    generator = load_generator(FIRST_BUNDLE / "generator.safetensors", "cpu")
    detector = EmbeddedDetector(FIRST_BUNDLE / "detector.safetensors")
    recipe = samples.Recipe("sha", detector.fingerprint, 0)
    made = []

    def progress(stage, done, total):
        made.append(done)

    embedder = EmbeddedIdentity(FIRST_BUNDLE / "identity.safetensors")
    whole = samples.sample(generator, detector, embedder, recipe, 40, tmp_path, progress)
    assert whole.thumbnails.shape == (40, 3, THUMBNAIL, THUMBNAIL)
    assert whole.vectors.shape == (40, 64)
    (tmp_path / "shard_00001.npz").unlink()
    again = samples.sample(generator, detector, embedder, recipe, 30, tmp_path, progress)
    for name in ("latents", "points", "thumbnails", "vectors"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name)[:30])
    with pytest.raises(samples.SamplesError, match="another generator, detector or seed"):
        samples.sample(generator, detector, embedder, replace(recipe, seed=1), 40, tmp_path, progress)
    alone = samples.sample(generator, None, None, replace(recipe, detector="none"), 20, tmp_path / "alone", progress)
    np.testing.assert_array_equal(alone.thumbnails, whole.thumbnails[:20])
    assert alone.points.shape == (20, 2, 0)
    assert alone.vectors.shape == (20, 0)


def test_given_latents_are_sampled_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "SHARD", 20)
    generator = load_generator(FIRST_BUNDLE / "generator.safetensors", "cpu")
    z = np.random.default_rng(0).standard_normal((30, generator.z_dim)).astype(np.float32)
    np.savez(tmp_path / "z.npz", z=z)
    given = samples.read_latents(tmp_path / "z.npz", 30).z
    recipe, alone = samples.Recipe("sha", "none", 0, drawn="a file"), (generator, None, None)
    made = samples.sample(*alone, recipe, 30, tmp_path / "made", lambda *_: None, given)
    wanted = torch.cat([generator.map(part)[:, 0] for part in torch.from_numpy(z).split(10)])
    np.testing.assert_array_equal(made.latents[:, 0], wanted.double())
    for count, latents, wrong in ((31, given, "31 samples"), (10, given[:, 1:], "numbers each")):
        with pytest.raises(samples.SamplesError, match=wrong):
            samples.sample(*alone, recipe, count, tmp_path / "refused", lambda *_: None, latents)
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"z": np.zeros(3)},
        {"z": np.full((2, 4), np.nan)},
        {"z": np.zeros((2, 4), int)},
        {"z": np.full((2, 4), 1e39)},  # infinite as float32
    ],
)
def test_what_is_no_latents_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "z.npz", **arrays)
    with pytest.raises(samples.SamplesError, match="array z"):
        samples.read_latents(tmp_path / "z.npz", 2)


@pytest.mark.parametrize("name", ["people", "scenes"])
@pytest.mark.parametrize(
    ("groups", "wrong"),
    [
        ([0, 0, 1], "one for each"),
        ([0.5] * 4, "whole numbers"),
        ([[0, 0, 1, 1]], "array"),
        ([0, 1, 2, 2], "show 3 {name}, less than twice"),
    ],
)
def test_what_latents_show_is_read_or_refused(tmp_path, name, groups, wrong):
    file, z = tmp_path / "z.npz", np.eye(4)
    np.savez(file, z=z)
    assert getattr(samples.read_latents(file, 4), name) is None
    np.savez(file, z=z, **{name: [7, 7, 9, 9]})
    given = samples.read_latents(file, 2)
    assert getattr(given, name).tolist() == [7, 7]
    assert (given.people is None) != (given.scenes is None), "one person's pictures may differ in hair and light"
    np.savez(file, z=z, **{name: groups})
    with pytest.raises(samples.SamplesError, match=wrong.format(name=name)):
        samples.read_latents(file, 4)


@pytest.mark.parametrize("name", ["people", "scenes"])
def test_latents_are_refused_of_which_none_moves_within_what_they_show(tmp_path, name):
    file, z = tmp_path / "z.npz", np.eye(4)[[0, 0, 1, 1, 2, 3]]
    np.savez(file, z=z, **{name: [5, 5, 6, 6, 7, 7]})
    assert getattr(samples.read_latents(file, 6), name) is not None
    with pytest.raises(samples.SamplesError, match=f"first 4 .* all alike where {name} are the same"):
        samples.read_latents(file, 4)


def test_scenes_of_several_people_are_refused(tmp_path):
    file = tmp_path / "z.npz"
    np.savez(file, z=np.eye(6), people=[1, 1, 1, 1, 2, 2], scenes=[-3, -3, 4, 4, 4, 4])
    assert samples.read_latents(file, 4).scenes is not None
    with pytest.raises(samples.SamplesError, match="scene 4 .* more than one of its people"):
        samples.read_latents(file, 6)


@pytest.mark.parametrize("scenes", [None, np.arange(3)])
@pytest.mark.parametrize("people", [None, np.arange(3) // 2])
def test_edits_follow_scenes_or_else_people(people, scenes):
    shown = samples.Samples(*np.zeros((4, 3, 0)), people, scenes)
    follow, groups = _followed(shown)
    assert (follow, groups is None) == (
        ("scenes", False) if scenes is not None else ("all people", True) if people is None else ("people", False)
    )
    assert groups is (people if scenes is None else scenes)


def test_fitting_a_small_model_writes_a_bundle_and_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "SHARD", 250)
    for name, smaller in {"_PEOPLE": 1, "_STEPS": 3, "_CALIBRATED": 2, "_ANGLES": 5}.items():
        monkeypatch.setattr(f"effigy.fitting.report.{name}", smaller)
    detector = EmbeddedDetector(FIRST_BUNDLE / "detector.safetensors")
    stages = []
    out = tmp_path / "small.effigy"
    out.mkdir()
    learnt = {"attributes": [{"name": "age"}], "retired": []}
    entries = {"generator": {"file": "a", "sha256": ""}, "appearance": None, "correction": None, "attributes": learnt}
    (out / "model.json").write_text(json.dumps({"format": 6, **entries}))
    plan = FitPlan("small", samples=250, basis=6, latent="w+", paper=True, photo_people=12, people_pictures=40)
    embedder = EmbeddedIdentity(FIRST_BUNDLE / "identity.safetensors")
    monkeypatch.setitem(PRESETS, "effigy", replace(PRESETS["effigy"], steps=200))
    monkeypatch.setitem(PRESETS, "paper", replace(PRESETS["paper"], steps=60))
    monkeypatch.setattr(appearance_training, "_STEPS", 100)
    monkeypatch.setattr("effigy.fitting.fit.EDITS", 100)
    report = fit_face_model(
        FIRST_BUNDLE / "generator.safetensors", detector, embedder, out, tmp_path / "samples", plan,
        lambda stage, done, total: stages.append(stage),
    )  # fmt: skip
    assert report.shape_nme_percent < 3
    assert report.dropped == ["age"]
    assert report.regressor_nme_percent < report.paper_nme_percent
    assert report.corrected.edits <= report.corrected.edits_before
    assert set(stages) == {"sample", "factor", "regress", "paper", "looks", "edits", "photos", "people"}
    assert json.loads((out / "model.json").read_text())["report"]["edits_follow"] == "all people"
    model = load_face_model(out, "cpu")
    assert model.regressor.rows == model.generator.num_ws
    assert load_paper_regressor(out).architecture == PRESETS["paper"].architecture
    assert load_paper_regressor(tmp_path) is None
    assert model.photo_map.correlations["yaw"] > 0.5  # of twelve people only
    assert model.encoder.extractor.fingerprint == f"{detector.fingerprint} {embedder.fingerprint}"
    anchor = model.open_seed(0)
    moved = model.edit(anchor, 20.0, 0.0, {}, InverseOptions(layers=6)).ws
    assert not torch.equal(moved, anchor.ws)
    assert torch.equal(moved[6:], anchor.ws[6:])
    write_report(model, detector, report, out / "report")
    page = (out / "report" / "report.md").read_text()
    assert f"| edits hold | {describe_looks(out)} |" in page
    for picture in re.findall(r"\((.*\.png)\)", page):
        assert imread(out / "report" / picture).std() > 10, picture
    assert not list(out.glob("*.part"))
