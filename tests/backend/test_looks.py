# SPDX-License-Identifier: Apache-2.0
"""Keeping looks: places and their colours, how heads are trained, and bundles with and without them."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from effigy.cli import app
from effigy.commands.doctor import examine
from effigy.editing import Regressor, appearance_training
from effigy.editing.appearance_training import beyond, pose_features, train_appearance
from effigy.editing.guide import explained_axes
from effigy.editing.network import Architecture
from effigy.editing.parameters import Parameters
from effigy.editing.patches import THUMBNAIL, patch_colours, patch_names, patch_points
from effigy.editing.regressor import Whitening
from effigy.faces import (
    FIRST_BUNDLE,
    BundleError,
    describe_looks,
    load_face_model,
    load_paper_regressor,
    looks_network,
)
from effigy.faces.header import UNCORRECTED
from effigy.fitting import refining, samples
from effigy.fitting.fit import learn_looks
from effigy.fitting.refining import refine
from effigy.geometry import Camera, ShapeModel, load_topology, rotation
from effigy.recognition import EmbeddedIdentity

FACES = ("ibug68", "ibug70", "mediapipe468", "mediapipe478")


@pytest.mark.parametrize("name", FACES)
def test_places_of_a_face_are_symmetric_and_named(name):
    topology = load_topology(name)
    assert len(topology.patches) == 11
    for patch_name, patch in topology.patches.items():
        assert set(patch.landmarks) <= set(range(topology.count))
        other = topology.patches[patch_name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")]
        assert {int(topology.mirror[mark]) for mark in patch.landmarks} == set(other.landmarks), patch_name
        assert other.offset == (-patch.offset[0], *patch.offset[1:]), patch_name
    # An open jaw covers the neck: holding that colour would change the skin tone.
    assert {name: patch.held for name, patch in topology.patches.items() if patch.held < 1} == {
        "chin": 0.3,
        "neck": 0.0,
    }
    assert topology.patches["chin"].moves


def test_a_body_has_no_places():
    assert patch_names(load_topology("blazepose33").patches) == ()


def test_places_lie_where_they_are_named_on_the_default(default_model):
    anchor = default_model.open_seed(0, truncation=0.0)
    views = Parameters.from_vector(anchor.q[None])
    patches = default_model.topology.patches
    seen = patch_points(patches, default_model.shape, views.alpha, views.camera)[0]
    points = dict(zip(patch_names(patches), seen.T, strict=True))
    assert points["hair"][1] < points["forehead"][1] < points["nose"][1] < points["chin"][1] < points["neck"][1] < 1
    # The left side of the face is on the right of the picture.
    assert points["cheekRight"][0] < points["nose"][0] < points["cheekLeft"][0]
    assert points["backgroundRight"][0] < points["hairRight"][0] < points["hairLeft"][0] < points["backgroundLeft"][0]
    picture = torch.from_numpy(default_model.paint(anchor.ws[None])).permute(0, 3, 1, 2)
    colours = patch_colours(picture, np.stack(list(points.values()), axis=1)[None], views.camera.s)[0]
    skin = [colours[list(points).index(name)] for name in ("forehead", "cheekLeft", "cheekRight", "nose", "chin")]
    assert np.ptp(skin, axis=0).max() < 60
    assert np.abs(colours[list(points).index("hair")] - np.mean(skin, axis=0)).mean() > 40


def test_a_place_moves_with_the_jaw_or_stays():
    topology = load_topology("ibug68")
    random = np.random.default_rng(0)
    shape = ShapeModel(random.normal(size=(3, 68)), np.zeros((1, 3, 68)), np.ones(68))
    shape.basis[0, 1, [8, 57]] = -0.5
    camera = Camera(np.eye(3)[None], np.array([0.2]), np.array([[0.5, 0.5]]))
    names = patch_names(topology.patches)
    shut, gaping = (patch_points(topology.patches, shape, np.array([[a]]), camera)[0] for a in (0.0, 1.0))
    moved = dict(zip(names, (gaping - shut).T, strict=True))
    np.testing.assert_allclose(moved.pop("chin"), [0, 0.1])
    assert not np.any(list(moved.values()))


def test_colours_are_read_where_they_are():
    """On a ramp, the mean around a point is the ramp's value there; beyond the edge, the value of the edge."""
    ramp = torch.arange(64.0).expand(64, 64)
    pictures = torch.stack([ramp, ramp.T, torch.full((64, 64), 7.0)])[None]
    points = np.array([[[0.25, 0.5, -3.0], [0.75, 0.5, 0.5]]])
    read = patch_colours(pictures, points, np.array([0.2]))
    np.testing.assert_allclose(read[0], [[15.5, 47.5, 7], [31.5, 31.5, 7], [0, 31.5, 7]], atol=1e-4)


def world(count, rows=1):
    """Makes latents that determine pose linearly, and thumbnails whose colour depends on one more number."""
    random = np.random.default_rng(0)
    ws = random.normal(size=(count, rows, 8))
    regressor = Regressor(Whitening.none(8), torch.zeros(7), torch.ones(7), Architecture(width=4), rows).double()
    regressor.requires_grad_(requires_grad=False)
    for layer in regressor.layers:
        layer.weight.zero_()
        layer.bias.zero_()
    regressor.linear.weight.zero_()
    for number in range(6):
        regressor.linear.weight[number, number] = 0.05
    regressor.q_mean[3:6] = torch.tensor([-1.6, 0.5, 0.5])
    tone = 128 + 20 * ws[:, 0, 7] + 15 * ws[:, 0, 1]  # the second is the change by a turn
    thumbnails = np.broadcast_to(
        tone.clip(0, 255).astype(np.uint8)[:, None, None, None], (count, 3, THUMBNAIL, THUMBNAIL)
    ).copy()
    return ws, regressor, thumbnails


@pytest.mark.parametrize("rows", [1, 2])
def test_heads_learn_what_the_pose_does_not_explain(default_model, monkeypatch, rows):
    monkeypatch.setattr(appearance_training, "_STEPS", 200)
    ws, regressor, thumbnails = world(1200, rows)
    shape = replace(default_model.shape, basis=default_model.shape.basis[:1])
    person = ws[:, 0, 6:8] @ np.random.default_rng(1).normal(size=(2, 12))
    heads, known = train_appearance(regressor, shape, default_model.topology, ws, thumbnails, person, 120)
    assert heads.patches == tuple(n for n in patch_names(default_model.topology.patches) if n != "neck")
    colours = heads.colours.view(-1, rows, 8)[:, 0]
    wanted = torch.tensor([20.0 * (0.3 if n == "chin" else 1.0) for n in heads.patches]).repeat_interleave(3)
    torch.testing.assert_close(colours[:, 7], wanted.to(colours), atol=1.5, rtol=0)
    assert colours[:, :7].abs().max() < 1.5, "a turn may shade a face as turns do"
    assert known.colours > 0.95
    assert known.identity > 0.8
    alone, known = train_appearance(regressor, shape, default_model.topology, ws, thumbnails, person[:, :0], 120)
    assert alone.identity is None
    assert known.identity is None
    torch.testing.assert_close(alone.colours, heads.colours)
    noise = np.random.default_rng(2).normal(size=person.shape)
    nobody, known = train_appearance(regressor, shape, default_model.topology, ws, thumbnails, noise, 120)
    assert nobody.identity is None, "a head that knows nothing would hold what is not there"
    assert known.identity is None


def test_heads_do_not_see_what_moves_within_a_scene(default_model, monkeypatch):
    monkeypatch.setattr(appearance_training, "_STEPS", 200)
    ws, regressor, thumbnails = world(1200)
    ws[:, 0, 6] = 0.7 * ws[:, 0, 7] + 0.7 * ws[:, 0, 6]  # an expression that dark people happen to make
    shape = replace(default_model.shape, basis=default_model.shape.basis[:1])
    person = ws[:, 0, 6:8] @ np.random.default_rng(1).normal(size=(2, 12))
    moving = torch.eye(8, dtype=torch.float64)[:, [1, 6]]
    heads, known = train_appearance(
        regressor, shape, default_model.topology, ws, thumbnails, person, 120, moving=moving
    )
    assert known.identity is not None
    v = torch.from_numpy(ws[:50, 0])
    moved = v + torch.randn(50, 2, dtype=torch.float64) @ moving.T
    torch.testing.assert_close(heads.person(moved), heads.person(v))
    torch.testing.assert_close(moved @ heads.colours.T, v @ heads.colours.T, atol=1e-6, rtol=0)
    assert heads.colours[:, 7].abs().max() > 5


@pytest.mark.parametrize("follows", [False, True])
def test_heads_see_the_light_unless_edits_follow_scenes(default_model, follows):
    """Pictures of one person differ in light too, and φ reads a little of it, so it is among the axes of its edits."""
    ws, regressor, thumbnails = world(1200)
    shape = replace(default_model.shape, basis=default_model.shape.basis[:1])
    regressor.typical.copy_(torch.zeros(8, 7).index_put_((torch.tensor([1, 7]), torch.tensor([0, 6])), torch.ones(2)))
    shown = samples.Samples(ws, np.zeros((1200, 0)), thumbnails, np.zeros((1200, 0)))
    looks = learn_looks(
        regressor, shape, default_model.topology, shown, None, 0, lambda *_: None, follows_scenes=follows
    )
    light = looks.appearance.colours[:, 7].abs().max()
    assert light < 1e-6 if follows else light > 15


def test_what_the_pose_explains_is_taken_out():
    random = np.random.default_rng(0)
    yaw, pitch = random.normal(size=(2, 500)) * [[0.35], [0.2]]
    camera = Camera(rotation(yaw, pitch, np.zeros(500)), np.full(500, 0.3), np.full((500, 2), 0.5))
    explained = np.column_stack([yaw, pitch**2, yaw * pitch, 3 + yaw**3])
    left = beyond(pose_features(camera), explained)
    assert (left.std(axis=0) < 0.1 * explained.std(axis=0)).all()
    other = random.normal(size=(500, 1))
    assert np.corrcoef(beyond(pose_features(camera), other)[:, 0], other[:, 0])[0, 1] > 0.98


@pytest.fixture()
def bundle(tmp_path):
    return shutil.copytree(FIRST_BUNDLE, tmp_path / "copy.effigy")


@pytest.fixture()
def earlier(bundle):
    """Writes the default as an earlier Effigy did: format 4, without heads."""
    header = json.loads((bundle / "model.json").read_text())
    del header["appearance"], header["correction"]
    (bundle / "model.json").write_text(json.dumps(header | {"format": 4}))
    (bundle / "appearance.safetensors").unlink()
    (bundle / "correction.safetensors").unlink()
    return bundle


def test_a_bundle_of_format_4_edits_as_it_did_and_says_what_would_help(earlier, default_model):
    model = load_face_model(earlier, "cpu")
    assert model.appearance is None
    uncorrected = load_face_model(FIRST_BUNDLE, "cpu", as_format=UNCORRECTED)
    plain = uncorrected.with_regressor(uncorrected.regressor)
    asked = (10.0, 0.0, {"eyeBlinkLeft": 1.0})
    assert torch.equal(model.edit(model.open_seed(3), *asked).ws, plain.edit(plain.open_seed(3), *asked).ws)
    assert not torch.equal(model.edit(model.open_seed(3), *asked).ws, default_model.edit(model.open_seed(3), *asked).ws)
    # Scenes and bakes refer to a model by this id, and its pictures are unchanged.
    header = json.loads((earlier / "model.json").read_text())
    limits = json.dumps([4, header["controls"], header["pose_range"], header["regressor"]], sort_keys=True)
    told = header["generator"]["sha256"].encode() + limits.encode() + (earlier / "model.safetensors").read_bytes()
    assert model.model_id == hashlib.sha256(told).hexdigest()[:16] != default_model.model_id
    assert f"effigy bundle refine {earlier}" in describe_looks(earlier)
    assert looks_network(earlier) is None


def test_doctor_and_inspect_say_what_edits_hold(earlier):
    def inspected(name):
        return json.loads(CliRunner().invoke(app, ["generators", "inspect", str(name), "--json"]).output)

    assert "effigy bundle refine" in inspected(earlier)["edits hold"]
    assert "the person" in inspected("first-default")["edits hold"]
    assert "edits hold" not in inspected(FIRST_BUNDLE / "generator.safetensors")
    [of_default], [of_earlier] = (
        [finding for finding in examine(folder) if finding.name == "model"] for folder in (FIRST_BUNDLE, earlier)
    )
    assert "edits hold colours" in of_default.detail
    assert of_earlier.ok
    assert "effigy bundle refine" in of_earlier.detail


@pytest.fixture()
def few(monkeypatch):
    """Uses so few samples and steps that a test is quick; little is learnt from them."""
    monkeypatch.setattr(samples, "SHARD", 40)
    monkeypatch.setattr(appearance_training, "_STEPS", 100)
    monkeypatch.setattr(appearance_training, "_LEAST", -1e9)


def test_refining_gives_an_earlier_bundle_heads_and_leaves_it_as_it_is(earlier, tmp_path, few):
    before = {path.name: path.read_bytes() for path in earlier.iterdir()}
    (earlier / "report").mkdir()
    (earlier / "report" / "report.md").write_text("of the edits of before")
    embedder = EmbeddedIdentity(FIRST_BUNDLE / "identity.safetensors")
    out = tmp_path / "new.effigy"
    looks, corrected = refine(earlier, None, embedder, out, tmp_path / "samples", 80, photo_people=0)
    assert corrected is None
    assert {path.name: path.read_bytes() for path in earlier.iterdir() if path.is_file()} == before
    assert {path.name for path in out.iterdir()} == {*before, "appearance.safetensors"}
    for name in before.keys() - {"model.json"}:
        assert (out / name).read_bytes() == before[name], name
    model = load_face_model(out, "cpu")
    assert model.appearance.identity is not None
    assert describe_looks(out) == str(looks)
    assert looks_network(out) == embedder.fingerprint
    assert load_paper_regressor(out) is not None
    # Without an identity network it keeps only colours, and says so.
    alone, _ = refine(out, None, None, tmp_path / "alone.effigy", tmp_path / "others", 40, photo_people=0)
    assert alone.identity is None
    assert "not the person: no identity network was given" in describe_looks(tmp_path / "alone.effigy")
    assert load_face_model(tmp_path / "alone.effigy", "cpu").appearance.identity is None
    assert looks_network(tmp_path / "alone.effigy") is None


@pytest.mark.parametrize("follows", ["scenes", "people"])
def test_refining_teaches_heads_as_the_fit_did(earlier, tmp_path, few, follows):
    header = json.loads((earlier / "model.json").read_text())
    header["report"]["edits_follow"] = follows
    (earlier / "model.json").write_text(json.dumps(header))
    refine(earlier, None, None, tmp_path / "new.effigy", tmp_path / "samples", 40, photo_people=0)
    model = load_face_model(tmp_path / "new.effigy", "cpu")
    axes = explained_axes(model.regressor.typical, model.regressor.q_scale)
    share = (model.appearance.colours @ axes).norm() / model.appearance.colours.norm()
    assert share < 1e-5 if follows == "scenes" else share > 0.1


def test_refining_writes_a_whole_bundle_or_none(earlier, tmp_path, few, monkeypatch):
    out = tmp_path / "new.effigy"

    def full(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(refining, "replace_learnt", full)
    with pytest.raises(OSError, match="no space"):
        refine(earlier, None, None, out, tmp_path / "samples", 40)
    assert sorted(path.name for path in tmp_path.iterdir()) == [earlier.name, "samples"]
    out.mkdir()
    with pytest.raises(BundleError, match=r"new\.effigy is there already"):
        refine(earlier, None, None, out, tmp_path / "samples", 40)


@pytest.mark.parametrize("name", ["judge", "embedded"])
def test_a_network_for_other_people_is_not_asked(tmp_path, name, bundle):
    header = json.loads((bundle / "model.json").read_text())
    other = bundle / "generator.safetensors"
    other.write_bytes(other.read_bytes() + b"\0")
    header["generator"]["sha256"] = hashlib.sha256(other.read_bytes()).hexdigest()
    (bundle / "model.json").write_text(json.dumps(header))
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["evaluate", str(bundle), "--identity", name])
    assert ran.exit_code == 2


def test_refine_names_what_is_wrong(tmp_path):
    def ran(*arguments):
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["bundle", "refine", *map(str, arguments)])
        assert result.exit_code == 2
        assert "Traceback" not in result.output
        return result.output

    assert "/nowhere.effigy is not a face model" in ran("/nowhere.effigy", "--out", tmp_path / "new.effigy")
    assert "is there already" in ran("first-default", "--out", tmp_path)
    assert "there is no file" in ran(
        "first-default", "--out", tmp_path / "new.effigy", "--identity", tmp_path / "absent.pth"
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("missing", "there is no file"),
        ("flipped", "its checksum is wrong"),
        ("nan", "NaN or infinite"),
        ("fewer", "is not for 11 patches"),
        ("network", "damaged"),
        ("entry", "damaged"),
    ],
)
def test_damaged_heads_are_named(bundle, damage, said):
    path, header = bundle / "appearance.safetensors", json.loads((bundle / "model.json").read_text())
    entry = header["appearance"]
    if damage == "missing":
        path.unlink()
    elif damage == "flipped":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    elif damage == "nan":
        arrays = load_file(path)
        arrays["colours"][0, 0] = float("nan")
        save_file(arrays, path)
        entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    elif damage == "fewer":
        entry["patches"] = entry["patches"][1:]
    elif damage == "network":
        entry["head"]["width"] = 3
    elif damage == "entry":
        header["appearance"] = {"sha256": entry["sha256"]}
    (bundle / "model.json").write_text(json.dumps(header))
    with pytest.raises(BundleError, match=said):
        load_face_model(bundle, "cpu")
