# SPDX-License-Identifier: Apache-2.0
"""Attributes: laws of edits with them, their sources, how a bundle keeps them, and a service that paints them."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from effigy.cli import app
from effigy.editing import InverseOptions
from effigy.editing.compensation import compensation
from effigy.editing.parameters import ALPHA, POSE
from effigy.faces import FIRST_BUNDLE, BundleError, load_face_model
from effigy.faces.attributes import MOST, Attribute, check_name
from effigy.faces.bundle import replace_attributes
from effigy.faces.header import model_id
from effigy.faces.sharing import add_bundle, export_bundle
from effigy.faces.welcome import controls_of, welcome
from effigy.fitting.attribute_learning import held_slopes, learn
from effigy.fitting.attribute_sources import SourceError, read_step
from effigy.generators import GeneratorFileError
from effigy.painting import Moment, PaintingError, Shot, paint_shots
from effigy_protocol.messages import Error, FromSeed, Identity, OpenIdentity, Synthesize
from tests.closeness import assert_same


@pytest.fixture(scope="module")
def model(default_model):
    """The first default with two looks, as SeFa finds them, whose pictures nobody has measured."""
    unmeasured = default_model.with_attributes([])
    unmeasured.photo_map = None
    found = learn(unmeasured, {"one": "sefa:1", "two": "sefa:2"})
    return default_model.with_attributes([each.attribute for each in found])


@pytest.fixture(scope="module")
def person(model):
    return model.open_seed(7)


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


def edited(model, person, values, yaw=None, options=InverseOptions()):
    return model.edit(person, person.pose.yaw if yaw is None else yaw, person.pose.pitch, values, options)


def test_an_attribute_of_zero_changes_no_bit(model, default_model, person):
    assert torch.equal(edited(model, person, {"one": 0.0, "two": -0.0}).ws, person.ws)
    plain = edited(default_model.with_attributes([]), person, {"jawOpen": 0.5}, 10.0)
    also = edited(model, person, {"one": 0.0, "jawOpen": 0.5}, 10.0)
    assert torch.equal(plain.ws, also.ws)
    assert (plain.pose, plain.clamped, plain.residual) == (also.pose, also.clamped, also.residual)


def test_the_order_of_names_changes_no_bit(model, person):
    there = edited(model, person, {"one": 1.0, "two": -1.0, "jawOpen": 0.3})
    back = edited(model, person, {"jawOpen": 0.3, "two": -1.0, "one": 1.0})
    assert torch.equal(there.ws, back.ws)


@pytest.mark.parametrize("value", [-2.0, 2.0])
@pytest.mark.parametrize("name", ["one", "two"])
def test_looks_change_and_pose_and_expression_hold(model, person, name, value):
    edit = edited(model, person, {name: value})
    before, after = model.regressor.of_latents(torch.stack([person.ws, edit.ws]).double()).numpy()
    assert abs(edit.pose.yaw - person.pose.yaw) < 0.2
    assert abs(edit.pose.pitch - person.pose.pitch) < 0.2
    assert edit.residual.keys() == {"yaw", "pitch"}
    for control in model.controls.values():
        assert abs(control.reading @ (after - before)[ALPHA]) < 0.06, control.name
    pictures = model.paint(torch.stack([person.ws, edit.ws])).astype(int)
    assert np.abs(pictures[0] - pictures[1]).mean() > 3


def test_what_is_asked_besides_is_reached_as_without(model, person):
    asked = {"mouthSmile": 0.5}
    for extra in ({}, {"one": -2.0}, {"one": 1.0, "two": 1.0}):
        edit = edited(model, person, asked | extra, person.pose.yaw + 15)
        assert edit.residual.keys() == {"yaw", "pitch", "mouthSmile"}
        assert abs(edit.residual["yaw"]) < 1
        assert abs(edit.residual["mouthSmile"]) < 0.1


def test_beyond_its_range_an_attribute_is_limited_and_named(model, person):
    edit = edited(model, person, {"one": 50.0})
    assert edit.clamped == ("one",)
    with pytest.raises(KeyError, match="three"):
        edited(model, person, {"three": 1.0})
    endless = Attribute("one", 1e5 * model.attributes["one"].direction, model.attributes["one"].seen)
    with pytest.raises(PaintingError, match="no face of this model: .* try another pose or person"):
        next(paint_shots(model.with_attributes([endless]), [Shot(person, Moment(controls={"one": 1.0}))]))


def test_what_pictures_show_moved_is_asked_for_less(model, person):
    seen = np.zeros((2, 2 + len(model.controls)))
    seen[0, 0], seen[1, 2] = 3.0, 0.1  # degrees of yaw with the value, of the first control with its square
    attribute = model.attributes["one"]
    bent = model.with_attributes([Attribute("one", attribute.direction, seen)])
    plain, less = edited(model, person, {"one": 1.0}), edited(bent, person, {"one": 1.0})
    q, other = model.regressor.of_latents(torch.stack([plain.ws, less.ws]).double()).numpy()
    first = next(iter(model.controls.values()))
    assert first.reading @ (other - q)[ALPHA] == pytest.approx(-0.1, abs=0.03)
    assert less.pose.yaw == pytest.approx(plain.pose.yaw, abs=0.3)  # as pictures show it
    assert np.degrees(other[1] - q[1]) == pytest.approx(-3, abs=0.5)  # the turn about y


def test_taking_back_leaves_no_pose_and_no_expression(default_model):
    random = np.random.default_rng(0)
    controls = list(default_model.controls.values())
    moved = random.standard_normal(POSE + len(default_model.shape.basis))
    left = moved + compensation(moved, controls)
    assert not left[:POSE].any()
    read = np.stack([control.reading for control in controls])
    assert np.abs(read @ left[ALPHA]).max() < 1e-9
    assert np.abs(left[ALPHA]).max() > 0.1  # the face's own shape may change
    again = left + compensation(left, controls)
    assert np.abs(again - left).max() < 1e-9


def test_likeness_of_one_is_what_was_and_of_none_is_without_heads(default_model, person):
    asked = {"mouthSmile": 1.0}
    plain = edited(default_model, person, asked, 20.0)
    assert torch.equal(plain.ws, edited(default_model, person, asked, 20.0, InverseOptions(keep=1.0)).ws)
    free = default_model.with_regressor(default_model.regressor)  # which holds nothing
    none, half = (edited(default_model, person, asked, 20.0, InverseOptions(keep=keep)).ws for keep in (0.0, 0.5))
    assert torch.equal(edited(free, person, asked, 20.0).ws, none)
    assert 0 < (half - none).norm() < (plain.ws - none).norm()
    still = default_model.edit(person, person.pose.yaw, person.pose.pitch, {}, InverseOptions(keep=0.3))
    assert torch.equal(still.ws, person.ws)


# --- sources -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def held(default_model):
    return held_slopes(default_model)


def direction(model, source):
    return learn(quiet(model), {"a": str(source)})[0].attribute.direction.double()


def quiet(model):
    """The model as one that reads no photographs."""
    other = model.with_attributes([])
    other.photo_map = None
    return other


def test_no_direction_moves_pose_or_controls_on_average(default_model, held, tmp_path):
    np.save(tmp_path / "any.npy", np.random.default_rng(0).standard_normal((1, default_model.generator.w_dim)))
    for source in ("sefa:1", "sefa:5", tmp_path / "any.npy"):
        v = direction(default_model, source) @ default_model.regressor.whitening.inverse.double()
        assert float(((held @ v[0]) / held.norm(dim=1)).abs().max()) < 1e-4
        assert float(v.norm()) == pytest.approx(1, abs=1e-4)


def test_sefas_components_are_orthogonal_and_the_first_changes_styles_most(default_model, held):
    steps = [read_step(default_model, f"sefa:{number}", held).v[0] for number in (1, 2, 9)]
    assert float((torch.stack(steps) @ torch.stack(steps).T - torch.eye(3)).abs().max()) < 1e-9
    generator, basis = default_model.generator, default_model.regressor.whitening.basis.double()
    changes = []
    for step in steps:
        ws = person_at(default_model) + torch.stack([torch.zeros_like(step), step]).float() @ basis.float()
        styles = torch.cat(generator.styles(ws[:, None].expand(-1, generator.num_ws, -1)), dim=1)
        changes.append(float((styles[1] - styles[0]).norm()))
    assert changes[0] > changes[2]


def person_at(model):
    return model.open_seed(0, truncation=0.0).ws[:1]


def test_a_boundary_is_turned_into_the_likeliest_step(default_model, held, tmp_path):
    whitening = default_model.regressor.whitening
    normal = np.random.default_rng(1).standard_normal(default_model.generator.w_dim).astype(np.float32)
    np.save(tmp_path / "age.npy", normal[None])
    torch.save(torch.from_numpy(normal[None]), tmp_path / "age.pt")
    rows = np.broadcast_to(normal, (default_model.generator.num_ws, len(normal)))
    np.save(tmp_path / "rows.npy", rows)
    steps = [read_step(default_model, str(tmp_path / name), held).v for name in ("age.npy", "age.pt", "rows.npy")]
    assert_same(steps[0][0], torch.from_numpy(normal).double() @ whitening.basis.double().T, 1000, torch.float64)
    assert torch.equal(steps[0], steps[1])
    assert torch.equal(steps[0], steps[2])


def test_components_of_ganspace_are_read_by_number_and_rows(default_model, held, tmp_path):
    width = default_model.generator.w_dim
    components = np.random.default_rng(2).standard_normal((3, 1, width)).astype(np.float32)
    np.savez(tmp_path / "pca.npz", lat_comp=components, lat_mean=np.zeros((1, width)))
    torch.save({"comp": torch.from_numpy(components[:, 0]), "mean": torch.zeros(width)}, tmp_path / "pca.pt")
    first, second = (read_step(default_model, f"{tmp_path / name}:2@1-3", held) for name in ("pca.npz", "pca.pt"))
    assert torch.equal(first.v, second.v)
    assert first.rows[:, 0].tolist() == [0, 1, 1, 1] + [0] * (default_model.generator.num_ws - 4)
    found = direction(default_model, f"{tmp_path / 'pca.npz'}:2@1-3")
    assert not found[[0, *range(4, len(found))]].any()
    assert found[1].any()


def test_labels_show_the_way(default_model, held, tmp_path):
    generator, whitening = default_model.generator, default_model.regressor.whitening
    seeds = range(400)
    z = np.concatenate([np.random.RandomState(seed).randn(1, generator.z_dim) for seed in seeds])
    v = whitening(generator.map(torch.from_numpy(z).float(), 0.7)[:, 0].double())
    truth = torch.zeros(v.shape[1], dtype=torch.float64)
    truth[3] = 1.0
    lines = [f"{seed},{float(row @ truth)},{'' if seed % 2 else 5}" for seed, row in zip(seeds, v, strict=True)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["seed,value,same", *lines]))
    step = read_step(default_model, str(table), held)
    assert "400 labels" in step.note
    assert float(step.v[0] @ truth / step.v[0].norm()) > 0.99
    np.savez(tmp_path / "labels.npz", latents=generator.map(torch.from_numpy(z).float(), 0.7).numpy(), values=v[:, 3])
    other = read_step(default_model, str(tmp_path / "labels.npz"), held).v[0]
    assert float(other @ step.v[0] / other.norm() / step.v[0].norm()) > 0.9999
    with pytest.raises(SourceError, match="the same"):
        read_step(default_model, f"{table}:same", held)
    noise = np.random.default_rng(0).standard_normal(400)
    table.write_text("\n".join(["seed,value", *(f"{seed},{noise[seed]}" for seed in seeds)]))
    with pytest.raises(SourceError, match="cannot be told"):
        read_step(default_model, str(table), held)


class _Bomb:
    """Whoever unpickles it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def _hostile(folder, width):
    """Files that nothing can be read from, by name."""
    np.save(folder / "nan.npy", np.full((1, width), np.nan))
    np.save(folder / "objects.npy", np.array([_Bomb(folder / "it-ran")], dtype=object), allow_pickle=True)
    np.save(folder / "short.npy", np.zeros(width - 1))
    np.save(folder / "text.npy", np.array(["a"] * width))
    (folder / "huge.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,)}"
    )
    (folder / "torn.npy").write_bytes((folder / "nan.npy").read_bytes()[:200])
    (folder / "bomb.pkl").write_bytes(pickle.dumps(_Bomb(folder / "it-ran")))
    (folder / "bomb.pt").write_bytes(pickle.dumps({"comp": _Bomb(folder / "it-ran")}))
    torch.save({"comp": torch.full((2, width), float("inf"))}, folder / "inf.pt")
    (folder / "noise.npz").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    np.savez(folder / "other.npz", something=np.zeros(3))
    np.savez(folder / "uneven.npz", latents=np.zeros((30, width)), values=np.zeros(29))
    (folder / "none.csv").write_text("")
    (folder / "names.csv").write_text("person,value\n1,2\n")
    (folder / "words.csv").write_text("seed,value\none,two\n")
    (folder / "few.csv").write_text("seed,value\n1,2\n2,3\n")
    (folder / "far.csv").write_text("seed,value\n99999999999,2\n")
    (folder / "inf.csv").write_text("seed,value\n1,inf\n")
    (folder / "bytes.csv").write_bytes(b"seed,value\n\xff\xfe,1\n")
    (folder / "note.txt").write_text("age")
    return sorted(path.name for path in folder.iterdir())


def test_what_is_no_source_is_refused_and_nothing_runs(default_model, held, tmp_path):
    names = _hostile(tmp_path, default_model.generator.w_dim)
    whole = [str(tmp_path / name) for name in names]
    others = ["sefa", "sefa:0", "sefa:x", "sefa:9999", "", "sefa:1@3-2", "sefa:1@0-99", str(tmp_path), "missing.npy"]
    others += [f"{tmp_path / 'other.npz'}:1", f"{tmp_path / 'inf.pt'}:7"]
    for source in [*whole, *others]:
        with pytest.raises((SourceError, GeneratorFileError)) as caught:
            learn(quiet(default_model), {"a": source})
        assert len(str(caught.value)) < 1000
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    "name", ["", " age", "1", "a" * 41, "yaw", "keep", "Basis", "jawOpen", "a=b", "Ä", "a,b", 'a"', "a\n"]
)
def test_what_cannot_name_a_slider_is_refused(name):
    with pytest.raises(ValueError, match=r"called|name of something"):
        check_name(name, ["jawOpen"])


# --- the bundle ----------------------------------------------------------------------------------


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
    "beyond all bounds": lambda e, a: a["seen.0"].fill_(1e30),
    "NaN": lambda e, a: a["direction.0"].fill_(float("nan")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_attributes_are_refused(folder, model, damage, monkeypatch):
    from safetensors.torch import load_file, save_file

    from effigy.faces import bundle
    from effigy.faces.header import sha256

    monkeypatch.setattr(bundle, "load_generator", lambda *_: model.generator)
    replace_attributes(folder, [*model.attributes.values()])
    header = json.loads((folder / "model.json").read_text())
    arrays = load_file(folder / "attributes.safetensors")
    DAMAGE[damage](header["attributes"], arrays)
    save_file(arrays, folder / "attributes.safetensors")
    header["attributes"]["sha256"] = sha256(folder / "attributes.safetensors")
    (folder / "model.json").write_text(json.dumps(header))
    with pytest.raises(BundleError, match="damaged"):
        load_face_model(folder, "cpu")


def test_a_missing_or_changed_file_of_attributes_is_told(folder, model, monkeypatch):
    from effigy.faces import bundle

    monkeypatch.setattr(bundle, "load_generator", lambda *_: model.generator)
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
        (["--add", "a=sefa:1", "--add", "a=sefa:2"], "twice"),
        (["--remove", "nobody"], "there is no attribute nobody"),
        (["--add", "a=nothing.npy"], "there is no source"),
    ):
        refused = run(app, ["bundle", "learn-attributes", str(copied), *arguments])
        assert (refused.exit_code, why in refused.output) == (2, True), refused.output
    assert run(app, ["bundle", "learn-attributes", str(copied), "--remove", "mine"]).exit_code == 0
    assert set(load_face_model(copied, "cpu").attributes) == before
    again = run(app, ["bundle", "learn-attributes", str(copied), "--add", "mine=sefa:1"])
    assert again.exit_code == 2


# --- the service ---------------------------------------------------------------------------------


def test_a_service_paints_attributes_asked_for_as_controls(model, work):
    identity = model.open_seed(3, truncation=0.7)
    turn = identity.pose.yaw, identity.pose.pitch

    def ask(controls, encoding="rgba8"):
        return Synthesize(identity.key, *turn, controls, "final", encoding)

    opened, plain, zero, look, again, unknown = work(
        model,
        [OpenIdentity(FromSeed(3, truncation=0.7)), ask({}), ask({"one": 0.0}), ask({"one": 2.0}),
         ask({"one": 2.0}), ask({"three": 1.0})],
    )  # fmt: skip
    assert isinstance(opened, Identity)
    assert bytes(plain.data) == bytes(zero.data)
    assert bytes(look.data) == bytes(again.data) != bytes(plain.data)
    assert look.clamped == ()
    assert isinstance(unknown, Error)
    assert "one, two" in unknown.hint


def test_a_service_tells_a_face_its_own_expression_where_that_is_asked_for(model, work):
    source = FromSeed(3, truncation=0.7)
    asked, silent = work(model, [OpenIdentity(source, own=True), OpenIdentity(source)])
    assert asked.own == pytest.approx(model.own_expression(model.open_seed(3)))
    assert silent.own is None


def test_everybody_reaches_the_average_expression(model):
    """Also who laughs so much that it takes more than a control's range to stop."""
    beyond = 0
    for seed in range(40):
        person = model.open_seed(seed, truncation=1.0)
        own = model.own_expression(person)
        relaxed = {name: -value for name, value in own.items()}
        beyond += any(not model.controls[name].low <= value for name, value in relaxed.items())
        if seed < 3 or max(own.values()) > 0.5:
            edit = edited(model, person, relaxed)
            assert edit.clamped == ()
            left = model.regressor.of_latents(edit.ws[None].double()).numpy()[0]
            average = model.regressor.of_latents(model.open_seed(0, 0.0).ws[None].double()).numpy()[0]
            for control in model.controls.values():
                missed = 0.3 if control.group == "eyes" else 0.2
                assert abs(control.reading @ (left - average)[ALPHA]) < missed, control.name
    assert beyond > 0
