# SPDX-License-Identifier: Apache-2.0
"""Attributes and likeness: what an edit with them changes and keeps, and what a service says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from effigy.editing import InverseOptions
from effigy.editing.compensation import compensation
from effigy.editing.parameters import ALPHA, POSE
from effigy.faces.attributes import Attribute
from effigy.fitting.attribute_learning import share_shown
from effigy.painting import Moment, PaintingError, Shot, paint_shots
from effigy_protocol.messages import Error, FromSeed, Identity, OpenIdentity, Synthesize


@pytest.fixture(scope="module")
def model(attributed):
    return attributed


@pytest.fixture(scope="module")
def person(model):
    return model.open_seed(7)


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
    first = model.attributes["one"]
    endless = Attribute("one", 1e5 * first.direction, first.seen, first.shown)
    with pytest.raises(PaintingError, match="no face of this model: .* try another pose or person"):
        next(paint_shots(model.with_attributes([endless]), [Shot(person, Moment(controls={"one": 1.0}))]))


def test_what_pictures_show_moved_is_asked_for_less(model, person):
    seen = np.zeros((2, 2 + len(model.controls)))
    seen[0, 0], seen[1, 2] = 3.0, 0.1  # degrees of yaw with the value, of the first control with its square
    attribute = model.attributes["one"]
    bent = model.with_attributes([Attribute("one", attribute.direction, seen, attribute.shown)])
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
    all_of_it = np.ones(len(controls))
    left = moved + compensation(moved, controls, all_of_it)
    assert not left[:POSE].any()
    read = np.stack([control.reading for control in controls])
    assert np.abs(read @ left[ALPHA]).max() < 1e-9
    assert np.abs(left[ALPHA]).max() > 0.1  # the face's own shape may change
    again = left + compensation(left, controls, all_of_it)
    assert np.abs(again - left).max() < 1e-9


def test_of_what_is_read_only_the_share_that_pictures_show_is_taken_back(default_model, model, person):
    controls = list(default_model.controls.values())
    moved = np.random.default_rng(1).standard_normal(POSE + len(default_model.shape.basis))
    share = np.linspace(0, 1, len(controls))
    read = np.stack([control.reading for control in controls])
    taken = compensation(moved, controls, share)
    assert np.abs(read @ taken[ALPHA] + share * (read @ moved[ALPHA])).max() < 1e-9
    assert (taken[:POSE] == -moved[:POSE]).all()
    # Of two attributes the share lies between both, nearer to that of the one which is moved further.
    one, two = model.attributes.values()
    without = replace(two, shown=np.zeros(len(controls)))
    ws = [
        edited(model.with_attributes([one, other]), person, {"one": 2.0, "two": value}).ws
        for other in (two, without)
        for value in (0.0, 1.0)
    ]
    assert torch.equal(ws[0], ws[2])
    assert not torch.equal(ws[1], ws[3])


def test_the_share_that_pictures_show_is_the_slope_over_people():
    random = np.random.default_rng(0)
    read, share = random.standard_normal((50, 2, 3)), np.array([0.0, 0.3, 1.0])
    pictures = share * read + [[5.0], [-3.0]]  # and what moves in everybody
    assert share_shown(pictures, read) == pytest.approx(share, abs=1e-9)
    pictures[7, 1] = np.nan
    assert share_shown(pictures, read) == pytest.approx(share, abs=1e-9)
    assert share_shown(-pictures, read) == pytest.approx(0, abs=1e-9)
    assert share_shown(2 * pictures, read)[2] == 1
    assert (share_shown(pictures, 0 * read) == 0).all()


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
