# SPDX-License-Identifier: Apache-2.0
"""What pictures say to a face model: read back, carried over to other people, and kept in the bundle."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from effigy.faces import DEFAULT_BUNDLE, FIRST_BUNDLE, BundleError, load_face_model
from effigy.faces.bundle import add_photo_map
from effigy.faces.photo_map import Features, read_photo_map
from effigy.faces.picture_reading import NoFaceError, read_picture
from effigy.faces.transfer import UnreadableModelError, average_rest, transfer
from effigy.fitting.evaluation import seen
from effigy.fitting.photo_learning import _taken_back, learn_photo_map
from effigy.fitting.photo_regression import Penalties, Regression, Table
from effigy_protocol.transfer import RELIABLE

PEOPLE = (3_000_000, 3_000_001, 3_000_002)  # nobody's from whom it learnt


def painted(model, person, *asks):
    """[n, H, W, 3]: a person in poses and expressions."""
    return model.paint(torch.stack([model.edit(person, *ask).ws for ask in asks]))


def test_turns_and_controls_that_were_asked_are_read_back(default_model, reader):
    asks = [(0.0, 0.0, {}), (20.0, 5.0, {}), (-20.0, -5.0, {}), *((0.0, 0.0, {n: 0.9}) for n in default_model.controls)]
    for seed in PEOPLE[:2]:
        pictures = painted(default_model, default_model.open_seed(seed), *asks)
        readings = [read_picture(default_model, reader, picture, painted=True) for picture in pictures]
        assert all(len(reading.boxes) == 1 for reading in readings)
        assert [readings[1].yaw, readings[2].yaw] == pytest.approx([20, -20], abs=4)
        assert [readings[1].pitch, readings[2].pitch] == pytest.approx([5, -5], abs=4)
        rest = readings[0].features
        for name, reading in zip(default_model.controls, readings[3:], strict=True):
            shown = default_model.photo_map.read_controls(reading.features, rest)
            assert shown[name] == max(shown.values()), f"{name} is what moved most"
            assert 0.2 < shown[name] < 1.5


def test_another_person_looks_as_the_picture_does(default_model, reader):
    first, second = (default_model.open_seed(seed) for seed in PEOPLE[:2])
    picture, calm = painted(default_model, first, (18.0, -6.0, {"jawOpen": 0.8, "mouthSmile": 0.5}), (0.0, 0.0, {}))
    read, rest = (read_picture(default_model, reader, p, painted=True) for p in (picture, calm))
    wanted = transfer(default_model, second, read.features, average_rest(default_model, painted=True))
    (result,) = painted(default_model, second, (wanted.yaw, wanted.pitch, wanted.controls))
    again = read_picture(default_model, reader, result, painted=True)
    assert (again.yaw, again.pitch) == pytest.approx((read.yaw, read.pitch), abs=3)
    assert again.controls["jawOpen"] == pytest.approx(read.controls["jawOpen"], abs=0.3)
    relative = transfer(default_model, second, read.features, rest.features, relative=True)
    assert relative.yaw - second.pose.yaw == pytest.approx(18, abs=4)
    assert relative.controls["jawOpen"] == pytest.approx(0.8, abs=0.35)


def test_a_picture_of_the_person_at_rest_carries_nothing_over_to_relative_ones(default_model):
    person = default_model.open_seed(PEOPLE[0])
    calm = default_model.photo_map.own_rest()
    found = transfer(default_model, person, calm, calm, relative=True)
    assert (found.yaw, found.pitch, found.roll) == pytest.approx((person.pose.yaw, person.pose.pitch, 0))
    assert set(found.controls.values()) == {0}


@pytest.mark.parametrize("part", ["expression", "turn", "mouth", "eyes", "brows"])
def test_a_part_is_all_that_is_carried_over_and_as_strongly_as_asked(default_model, part):
    model, person = default_model, default_model.open_seed(PEOPLE[0])
    rest = model.photo_map.own_rest()
    mesh = rest.mesh + 0.02 * np.random.default_rng(0).normal(size=rest.mesh.shape)
    shown = replace(rest, mesh=mesh, yaw=15.0, pitch=5.0)
    whole, some, half = (
        transfer(model, person, shown, rest, relative=True, part=p, strength=s)
        for p, s in (("all", 1.0), (part, 1.0), (part, 0.5))
    )
    groups = {name for name, control in model.controls.items() if part in ("expression", control.group)}
    assert some.controls == {name: value for name, value in whole.controls.items() if name in groups}
    assert (some.yaw != person.pose.yaw) == (part == "turn")
    assert half.yaw - person.pose.yaw == pytest.approx(0.5 * (some.yaw - person.pose.yaw))
    for name, value in some.controls.items():
        control = model.controls[name]
        if control.low < value < control.high:
            assert half.controls[name] == pytest.approx(0.5 * value)


def test_what_pictures_do_not_tell_is_left_alone_and_named(default_model, monkeypatch):
    weak = replace(
        default_model.photo_map, correlations=default_model.photo_map.correlations | {"browUp": RELIABLE - 0.01}
    )
    monkeypatch.setattr(default_model, "photo_map", weak)
    rest = weak.own_rest()
    found = transfer(default_model, default_model.open_seed(1), rest, rest)
    assert "browUp" not in found.controls
    assert found.left_out == ("browUp",)


def test_mirrored_pictures_are_read_mirrored(default_model):
    photos = default_model.photo_map
    rest = photos.own_rest()
    random = np.random.default_rng(0)
    mesh, scores = (values + 0.02 * random.normal(size=values.shape) for values in (rest.mesh, rest.scores))
    eyes = random.normal(size=rest.eyes.shape)
    shown = Features(scores, mesh, eyes, 10.0, 5.0, 3.0)
    np.testing.assert_allclose(shown.mirrored().mirrored().mesh, mesh)
    assert np.array_equal(shown.mirrored().eyes.reshape(2, -1), eyes.reshape(2, -1)[::-1])
    assert (shown.mirrored().scores != scores).any()
    one, other = photos.read_controls(shown, rest), photos.read_controls(shown.mirrored(), rest.mirrored())
    assert one["eyeBlinkLeft"] == pytest.approx(other["eyeBlinkRight"], abs=0.1)
    assert one["jawOpen"] == pytest.approx(other["jawOpen"], abs=0.1)


def test_painted_faces_and_photographed_ones_have_another_average_person_at_rest(default_model):
    own = average_rest(default_model, painted=True)
    photographed = average_rest(default_model, painted=False)
    assert own is not photographed
    assert np.array_equal(own.scores, default_model.photo_map.rest)
    assert not np.array_equal(photographed.scores, own.scores)
    np.testing.assert_allclose(photographed.mirrored().mesh, photographed.mesh, atol=1e-3)


def test_a_face_that_is_not_there_is_told(default_model, reader):
    with pytest.raises(NoFaceError, match="no face is seen"):
        read_picture(default_model, reader, np.zeros((64, 64, 3), np.uint8))
    (picture,) = painted(default_model, default_model.open_seed(1), (0.0, 0.0, {}))
    with pytest.raises(NoFaceError, match="no face 2 in it: it shows one face"):
        read_picture(default_model, reader, picture, number=2)


def test_models_learn_of_few_people_and_of_none_that_are_no_faces(default_model):
    class Blind:
        def faces(self, images):
            return [None] * len(images)

    painted_people = []
    assert learn_photo_map(default_model, Blind(), 50, lambda done, total: painted_people.append(done)) is None
    assert max(painted_people) < 5, "it does not go on for nothing"
    assert seen(default_model, default_model.open_seed(0).ws[None]).shape[1] == 3


def test_a_photograph_of_a_smile_drives_nothing_else_to_its_end(reader, photo):
    """Real people differ in more than painted ones, which must not be taken for an expression."""
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    read = read_picture(model, reader, photo)
    assert read.controls["mouthSmile"] > 0.5
    for control, value in read.controls.items():
        if control != "mouthSmile":
            low = min(model.controls[control].low, -0.5)  # lids end soon beyond rest, so wide ones drive little
            assert 0.8 * low < value < 0.8, control


def _table(X, people):
    return Table(X, X, slice(X.shape[1], None), slice(0, 0), people)


def test_ridge_regression_finds_the_weights_that_made_the_data():
    random = np.random.default_rng(0)
    X, wanted = random.normal(size=(400, 5)) * [1, 10, 0.1, 1, 0], np.array([1.0, -0.2, 3.0, 0.5, 0.0])
    np.testing.assert_allclose(
        Regression.of(X, X @ wanted).solve(Penalties(1e-9, 1.0, 0.0), _table(X, np.zeros((5, 5)))), wanted, atol=1e-3
    )


def test_what_tells_people_apart_is_not_read_as_an_expression():
    """Two features show the same; photographed people differ in the second."""
    shown = np.random.default_rng(0).normal(size=(400, 1))
    X, people = np.concatenate([shown, shown], axis=1), np.diag([0.0, 100.0])
    regression = Regression.of(X, shown[:, 0])
    alike, apart = (regression.solve(Penalties(1e-3, 1.0, 0.03), _table(X, spread)) for spread in (0 * people, people))
    np.testing.assert_allclose(alike, [0.5, 0.5], atol=0.01)
    np.testing.assert_allclose(apart, [1.0, 0.0], atol=0.01)


def test_what_is_read_badly_stays_near_rest():
    assert _taken_back(0.7, 0.5) == 1.0
    assert 0.7 < _taken_back(0.7, 0.95) < _taken_back(0.7, 0.75) < 1.0
    assert _taken_back(0.7, 1.0) == 0.7


@pytest.fixture()
def bundle(tmp_path):
    return shutil.copytree(FIRST_BUNDLE, tmp_path / "copy.effigy")


def test_bundles_keep_what_was_learnt_and_do_without(bundle, default_model):
    header = json.loads((bundle / "model.json").read_text())
    found = read_photo_map(bundle, header["photo"], tuple(default_model.controls))
    for name in ("scores", "mesh", "turn", "rest", "rest_mesh", "pose", "pose_mesh"):
        assert np.array_equal(getattr(found, name), getattr(default_model.photo_map, name))
    assert not found.eyes.any(), "it was learnt before eyes were looked at"
    random = np.random.default_rng(0)
    looking = replace(
        found, eyes=random.normal(size=found.eyes.shape).astype(np.float32), rest_eyes=found.rest_eyes + 1
    )
    add_photo_map(bundle, looking)
    kept = load_face_model(bundle, "cpu").photo_map
    assert np.array_equal(kept.eyes, looking.eyes)
    assert np.array_equal(kept.rest_eyes, looking.rest_eyes)
    rest = kept.own_rest()
    assert kept.read_controls(replace(rest, eyes=rest.eyes + 0.1), rest) != kept.read_controls(rest, rest)
    header = json.loads((bundle / "model.json").read_text())
    del header["photo"]
    (bundle / "model.json").write_text(json.dumps(header))
    model = load_face_model(bundle, "cpu")
    assert model.photo_map is None
    assert model.model_id == default_model.model_id, "pictures do not depend on it"
    with pytest.raises(UnreadableModelError, match="learn-photos"):
        average_rest(model, painted=True)


@pytest.mark.parametrize("damage", ["file", "missing", "correlations", "shape"])
def test_damaged_photo_maps_are_refused(bundle, damage):
    path = bundle / "photo.safetensors"
    header = json.loads((bundle / "model.json").read_text())
    if damage == "file":
        path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    elif damage == "missing":
        path.unlink()
    elif damage == "correlations":
        del header["photo"]["correlations"]["yaw"]
    else:
        header["controls"] = header["controls"][:-1]
    (bundle / "model.json").write_text(json.dumps(header))
    with pytest.raises(BundleError):
        load_face_model(bundle, "cpu")
