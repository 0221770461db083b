# SPDX-License-Identifier: Apache-2.0
"""The face model and its bundle on disk."""

from __future__ import annotations

import json
import re
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from imageio.v3 import imread

from effigy.editing import PRESETS, InverseOptions, appearance_training
from effigy.editing.parameters import ALPHA
from effigy.editing.patches import THUMBNAIL
from effigy.faces import (
    DEFAULT_BUNDLE,
    FIRST_BUNDLE,
    BundleError,
    LatentError,
    describe_looks,
    landmarks_note,
    load_face_model,
    load_paper_regressor,
    resolve_bundle,
)
from effigy.faces.edit import limit
from effigy.faces.latent import latent_from_bytes, latent_to_bytes
from effigy.fitting import (
    samples,
)
from effigy.fitting.drift import Shading, drift, full_strength
from effigy.fitting.evaluation import Judge, compare, evaluate, report
from effigy.fitting.fit import FitPlan, fit_face_model
from effigy.fitting.report import write_report
from effigy.generators import load_generator
from effigy.geometry import angles, infer, load_topology
from effigy.landmarks import EmbeddedDetector
from effigy.recognition import EmbeddedIdentity, load_embedder
from recipes.bench.sliders import TRUNCATION, ramp


@pytest.fixture(scope="module")
def identity(default_model):
    return default_model.open_seed(4)


@pytest.fixture(scope="module")
def judge():
    detector = EmbeddedDetector(FIRST_BUNDLE / "detector.safetensors")
    recogniser = load_embedder("judge", FIRST_BUNDLE, torch.device("cpu"))
    return Judge(detector, recogniser, identities=2, shading=Shading.from_file(FIRST_BUNDLE / "shading.json"))


def test_an_edit_of_zero_is_the_anchor_bit_for_bit(default_model, identity):
    edit = default_model.edit(identity, identity.pose.yaw, identity.pose.pitch, {"jawOpen": 0.0})
    assert torch.equal(edit.ws, identity.ws)
    assert edit.clamped == ()
    # The rest pose, rounded as in a float32 scene, is still the rest pose.
    edit = default_model.edit(identity, identity.pose.yaw + 1e-5, identity.pose.pitch - 1e-5, {})
    assert torch.equal(edit.ws, identity.ws)


def test_a_picture_does_not_depend_on_what_was_painted_before(default_model, identity):
    asked = [(yaw, 5.0, {"jawOpen": 0.5}) for yaw in (-20, 0, 20)]
    first = [default_model.paint(default_model.edit(identity, *a).ws[None])[0] for a in asked]
    again = [default_model.paint(default_model.edit(identity, *a).ws[None])[0] for a in reversed(asked)]
    for one, other in zip(first, reversed(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_picture_turns_as_asked(default_model):
    detector = EmbeddedDetector(FIRST_BUNDLE / "detector.safetensors")
    asked = np.linspace(-30, 30, 7)
    slopes = []
    for seed in range(6):
        anchor = default_model.open_seed(seed)
        ws = torch.stack([default_model.edit(anchor, yaw, 0.0, {}).ws for yaw in asked])
        pictures = torch.from_numpy(default_model.paint(ws)).permute(0, 3, 1, 2).float() / 127.5 - 1
        views = infer(default_model.shape, detector.detect(pictures).double().numpy())
        measured = np.degrees(angles(views.camera.R)[0])
        slopes.append(np.polyfit(asked, measured, 1)[0])
        assert np.abs(measured - asked).mean() < 5
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.1)


def test_each_control_moves_what_it_names_on_the_picture(default_model, judge):
    scores = evaluate(default_model, replace(judge, identities=4))
    assert {"jawOpen", "mouthSmile", "eyeBlinkLeft", "eyeBlinkRight", "browUp", "mouthPucker"} <= scores.controls.keys()
    for name, control in scores.controls.items():
        assert control.gain > 0.7, name
        assert control.leakage < 0.5, name
    assert scores.yaw.slope == pytest.approx(1.0, abs=0.05)
    assert scores.pitch.slope == pytest.approx(1.0, abs=0.08)
    assert scores.landmark_nme_percent < 1.5
    assert scores.clamped_share == 0
    for looks in (scores.looks, scores.looks_turned):
        assert looks.mean_drift < 2
        assert max(value for places in looks.drift.values() for value in places.values()) < 8
        assert looks.identity_similarity > 0.9


@pytest.fixture(scope="module")
def held(default_model, judge):
    """What edits of the default come to, with its heads."""
    return evaluate(default_model, judge)


def test_a_blink_is_only_a_blink(default_model, judge, held):
    """Without the heads, closed lids lighten skin by 19 of 255, and raised brows darken it by as much."""
    free = evaluate(default_model.with_regressor(default_model.regressor), judge)
    skin = ("forehead", "foreheadLeft", "foreheadRight", "cheekLeft", "cheekRight", "nose")
    for name in ("eyeBlink", "browUp"):
        assert max(held.looks.drift[name][place] for place in skin) < 4, name
        assert min(free.looks.drift[name][place] for place in skin) > 8, name
    assert held.looks_turned.identity_similarity > free.looks_turned.identity_similarity + 0.1
    assert abs(held.yaw.mae_deg - free.yaw.mae_deg) < 0.2
    for name, control in held.controls.items():
        assert abs(control.gain - free.controls[name].gain) < 0.15, name


def test_both_sides_of_a_control_are_asked_together_too():
    ends = {"jawOpen": 1.0, "eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.8, "browUpLeft": 0.5}
    asked = full_strength(ends, load_topology("ibug68"))
    assert asked == {
        "jawOpen": {"jawOpen": 1.0},
        "eyeBlinkLeft": {"eyeBlinkLeft": 0.9},
        "eyeBlinkRight": {"eyeBlinkRight": 0.8},
        "browUpLeft": {"browUpLeft": 0.5},
        "eyeBlink": {"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.8},
    }


def test_of_a_true_change_only_what_goes_beyond_it_or_against_it_is_drift():
    base = np.array([[100.0, 200.0, 50.0]])  # one place
    own = np.array([[-0.1]])  # the true change is a tenth darker: 10, 20, 5
    for change, expected in (
        ([0, 0, 0], 0),
        ([-10, -20, -5], 0),
        ([-5, -5, -5], 0),
        ([-13, -20, -5], 1),
        ([0, 6, 0], 2),
    ):
        assert drift(np.array([[change]], float), base, own) == pytest.approx(np.array([[expected]])), change


def test_an_evaluation_is_the_same_twice_and_its_json_has_the_documented_keys(default_model, judge, held):
    scores = compare(default_model, judge, ["newton", "linear", "paper"], load_paper_regressor(FIRST_BUNDLE))
    told = report(scores)
    assert replace(held, ms=0.0) == replace(scores["newton"], ms=0.0)
    assert scores["paper"].yaw.mae_deg > scores["newton"].yaw.mae_deg
    assert 0.5 < scores["newton"].identity_similarity < 1
    assert {
        "yaw",
        "pitch",
        "controls",
        "landmark_nme_percent",
        "identity_similarity",
        "clamped_share",
        "ms",
        "looks",
        "looks_turned",
    } <= told.keys()
    assert told["looks"].keys() == {"mean_drift", "drift", "identity_similarity"}
    assert {"cheekLeft", "chin", "backgroundRight"} <= told["looks"]["drift"]["eyeBlink"].keys()
    assert told["methods"].keys() == {"newton", "linear", "paper"}
    assert told["yaw"].keys() == {"slope", "mae_deg"}
    assert told["controls"]["jawOpen"].keys() == {"gain", "leakage"}


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
    given = samples.read_latents(tmp_path / "z.npz")
    recipe, alone = samples.Recipe("sha", "none", 0, drawn="a file"), (generator, None, None)
    made = samples.sample(*alone, recipe, 30, tmp_path / "made", lambda *_: None, given)
    wanted = torch.cat([generator.map(part)[:, 0] for part in torch.from_numpy(z).split(10)])
    np.testing.assert_array_equal(made.latents[:, 0], wanted.double())
    for count, latents, wrong in ((31, given, "31 samples"), (10, given[:, 1:], "numbers each")):
        with pytest.raises(samples.SamplesError, match=wrong):
            samples.sample(*alone, recipe, count, tmp_path / "refused", lambda *_: None, latents)
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(
    "arrays", [{}, {"z": np.zeros(3)}, {"z": np.full((2, 4), np.nan)}, {"z": np.zeros((2, 4), int)}]
)
def test_what_is_no_latents_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "z.npz", **arrays)
    with pytest.raises(samples.SamplesError, match="array z"):
        samples.read_latents(tmp_path / "z.npz")


def test_what_is_beyond_the_data_is_clamped_and_named(default_model, identity):
    edit = default_model.edit(identity, 170.0, 0.0, {"jawOpen": 50.0})
    assert set(edit.clamped) == {"yaw", "jawOpen"}
    assert edit.pose.yaw < 1.25 * default_model.pose_range[0]


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_limit_is_exact_inside_smooth_beyond_and_never_turns_back(a, b):
    cut = []
    limited = [limit("x", value, -1.0, 1.0, 0.0, cut) for value in sorted((a, b))]
    assert limited[0] <= limited[1]
    assert limited[1] - limited[0] <= abs(a - b) + 1e-12
    assert max(map(abs, limited)) <= 1.2
    assert len(cut) == sum(abs(value) > 1 for value in (a, b))
    if abs(a) <= 1:
        assert a in limited


def test_an_edit_says_what_is_missing(default_model, identity):
    asked = default_model.edit(identity, 20.0, -5.0, {"jawOpen": 0.5, "mouthSmile": 0.0})
    assert asked.residual.keys() == {"yaw", "pitch", "jawOpen"}
    assert asked.residual["yaw"] == pytest.approx(20 - asked.pose.yaw)
    assert abs(asked.residual["yaw"]) < 1
    assert abs(asked.residual["jawOpen"]) < 0.2
    held = default_model.edit(identity, 20.0, -5.0, {"jawOpen": 0.5}, InverseOptions(pull=1e4))
    assert abs(held.residual["yaw"]) > 10
    assert default_model.edit(identity, identity.pose.yaw, identity.pose.pitch, {}).residual == {}


def test_roll_size_and_shift_stay_nearly_the_identitys(default_model, identity):
    for yaw in (-30, 0, 30):
        pose = default_model.edit(identity, yaw, 0.0, {}).pose
        assert abs(pose.roll - identity.pose.roll) < 2
        assert abs(pose.x - identity.pose.x) < 0.02
        assert abs(pose.y - identity.pose.y) < 0.02
        assert pose.scale == pytest.approx(identity.pose.scale, rel=0.06)


def test_a_seed_is_the_latent_that_the_official_scripts_number(default_model):
    z = np.random.RandomState(7).randn(1, default_model.generator.z_dim)
    expected = default_model.generator.map(torch.from_numpy(z).float(), 0.5)[0]
    assert torch.equal(default_model.open_seed(7, 0.5).ws, expected)


def test_the_calmest_of_several_seeds_is_nearest_to_the_average_expression(default_model):
    def strongest(seed):
        alpha = default_model.open_seed(seed).q[ALPHA] - average
        return max(abs(control.reading @ alpha) for control in default_model.controls.values())

    average = default_model.open_seed(0, truncation=0.0).q[ALPHA]
    assert [default_model.calmest(seed, 1) for seed in (0, 9)] == [0, 9]
    calm = [default_model.calmest(seed, 8) for seed in range(0, 80, 8)]
    for first, seed in zip(range(0, 80, 8), calm, strict=True):
        assert seed in range(first, first + 8)
        assert strongest(seed) == min(strongest(other) for other in range(first, first + 8))
    # One seed in three of the embedded default winks or gapes; among eight there is always one that does not.
    assert max(map(strongest, calm)) < 0.3 < np.median([strongest(seed) for seed in range(80)])


def test_a_latent_opens_the_same_identity(default_model, identity):
    again = default_model.open_latent(identity.latent)
    assert again.key == identity.key
    assert torch.equal(again.ws, identity.ws)


@given(st.integers(1, 3), st.integers(1, 5), st.booleans())
def test_latents_come_back_from_their_bytes(num_ws, w_dim, same):
    ws = np.random.default_rng(0).normal(size=(num_ws, w_dim)).astype(np.float32)
    if same:
        ws[:] = ws[0]
    np.testing.assert_array_equal(latent_from_bytes(latent_to_bytes(ws), num_ws, w_dim), ws)


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda b: b"EFLT" + b))
@settings(max_examples=300)
def test_bytes_that_are_no_latent_raise_only_a_latent_error(data):
    with pytest.raises(LatentError):
        latent_from_bytes(data, 14, 256)


def test_a_latent_with_nan_or_of_another_size_is_refused():
    header = struct.pack("<4sII", b"EFLT", 1, 2)
    with pytest.raises(LatentError, match="NaN"):
        latent_from_bytes(header + struct.pack("<2f", 1.0, float("nan")), 4, 2)
    with pytest.raises(LatentError, match="4 × 3"):
        latent_from_bytes(header + struct.pack("<2f", 1.0, 2.0), 4, 3)


def test_a_latent_whose_camera_no_scene_can_hold_is_refused(default_model, identity):
    """One large number makes the picture's scale, by which a plate's width is divided, zero or 1e200."""
    head, anchor = identity.latent[:12], np.frombuffer(identity.latent[12:], "<f4")
    dice, refused = np.random.default_rng(0), 0
    for _ in range(60):
        changed = anchor.copy()
        changed[dice.integers(len(changed))] = dice.choice([-1, 1]) * 10 ** dice.uniform(1, 38)
        try:
            pose = default_model.open_latent(head + changed.tobytes()).pose
        except LatentError:
            refused += 1
        else:
            assert 1e-6 <= pose.scale <= 1e6
            assert max(abs(pose.x), abs(pose.y)) <= 1e6
    assert 20 < refused < 60


def test_default_names_the_embedded_bundle():
    assert resolve_bundle("default") == DEFAULT_BUNDLE
    shipped = {path for folder in (DEFAULT_BUNDLE, FIRST_BUNDLE) for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in shipped) < 60 * 2**20


@pytest.fixture()
def bundle(tmp_path):
    return shutil.copytree(FIRST_BUNDLE, tmp_path / "copy.effigy")


def test_a_copied_bundle_is_the_same_model(bundle, default_model):
    assert load_face_model(bundle, "cpu").model_id == default_model.model_id


def test_a_bundle_with_another_generator_is_refused(bundle):
    path = bundle / "generator.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="not the generator that"):
        load_face_model(bundle, "cpu")


def test_the_papers_regressor_of_an_earlier_fit_is_not_taken_for_this_ones(bundle):
    assert load_paper_regressor(bundle) is not None
    (bundle / "model.safetensors").write_bytes(b"another fit")
    assert load_paper_regressor(bundle) is None


@pytest.mark.parametrize("wrong", [{"activation": "tanh"}, {"depth": 0}, {"rows": 0}, {"width": 3}, {"extra": 1}])
def test_a_regressor_that_is_none_is_refused(bundle, wrong):
    path = bundle / "model.json"
    header = json.loads(path.read_text())
    header["regressor"] |= wrong
    path.write_text(json.dumps(header))
    with pytest.raises(BundleError, match="damaged"):
        load_face_model(bundle, "cpu")


def test_a_flipped_bit_in_the_model_is_noticed(bundle):
    path = bundle / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="its checksum is wrong"):
        load_face_model(bundle, "cpu")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "generator.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
def test_a_damaged_bundle_names_what_is_wrong(bundle, name, damage):
    path = bundle / name
    path.unlink()
    if damage != "missing":
        path.write_bytes(b"" if damage == "empty" else b"\xfe" * 500)
    with pytest.raises(BundleError) as caught:
        load_face_model(bundle, "cpu")
    assert "copy.effigy" in str(caught.value)


def test_a_bundle_of_another_format_or_with_a_path_outside_is_refused(bundle):
    path = bundle / "model.json"
    header = json.loads(path.read_text())
    path.write_text(json.dumps(header | {"format": 99}))
    with pytest.raises(BundleError, match="format 99"):
        load_face_model(bundle, "cpu")
    path.write_text(json.dumps(header | {"generator": {"file": "../generator.safetensors", "sha256": "0"}}))
    with pytest.raises(BundleError, match="outside"):
        load_face_model(bundle, "cpu")


def test_fitting_a_small_model_writes_a_bundle_and_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "SHARD", 250)
    for name, smaller in {"_PEOPLE": 1, "_STEPS": 3, "_CALIBRATED": 2, "_ANGLES": 5}.items():
        monkeypatch.setattr(f"effigy.fitting.report.{name}", smaller)
    detector = EmbeddedDetector(FIRST_BUNDLE / "detector.safetensors")
    stages = []
    out = tmp_path / "small.effigy"
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
    assert report.regressor_nme_percent < report.paper_nme_percent
    assert report.corrected.edits <= report.corrected.edits_before
    assert set(stages) == {"sample", "factor", "regress", "paper", "looks", "edits", "photos", "people"}
    model = load_face_model(out, "cpu")
    assert model.regressor.rows == model.generator.num_ws
    assert load_paper_regressor(out).architecture == PRESETS["paper"].architecture
    assert load_paper_regressor(tmp_path) is None
    assert model.photo_map.correlations["yaw"] > 0.9
    assert model.encoder.sight.fingerprint == f"{detector.fingerprint} {embedder.fingerprint}"
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


def test_the_end_of_a_slider_in_single_precision_is_within_its_range(default_model, identity):
    for name, control in default_model.controls.items():
        for end in (control.low, control.high):
            assert not default_model.edit(identity, 0.0, 0.0, {name: float(np.float32(end))}).clamped


@pytest.mark.parametrize("seed", [5, 17, 19, 21])
def test_a_slider_leads_to_its_end_without_a_leap(default_model, seed):
    """φ's slope at an open lid is noise: an inverse that follows it changes these people until the lid falls, or leaves
    it open."""
    person = default_model.open_seed(seed, TRUNCATION)
    for name in default_model.controls:
        largest, missing = ramp(default_model, person, name, 0.0, 0.0)
        assert largest < 1.2, name  # standard deviations of the latents; it was up to 5.3
        assert abs(missing) < 0.25, name


@pytest.mark.parametrize(("topology", "revision", "is_old"), [
    ("mediapipe478", None, True), ("mediapipe478", 2, False), ("mediapipe468", None, True), ("ibug68", None, False),
])  # fmt: skip
def test_bundles_of_478_points_that_were_pitched_wrong_are_told_apart(tmp_path, topology, revision, is_old):
    header = json.loads((FIRST_BUNDLE / "model.json").read_text())
    header["topology"] = topology
    header.pop("topology_revision", None)
    if revision is not None:
        header["topology_revision"] = revision
    (tmp_path / "model.json").write_text(json.dumps(header))
    note = landmarks_note(tmp_path)
    assert ("a new fit mends" in note) == is_old
    assert bool(note) == is_old
