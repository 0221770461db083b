# SPDX-License-Identifier: Apache-2.0
"""A fit leaves out controls that pictures do not show."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from effigy.faces import FIRST_BUNDLE
from effigy.faces.face import FaceModel
from effigy.faces.header import BundleError
from effigy.faces.latent import LatentError
from effigy.fitting import showing
from effigy.landmarks import EmbeddedDetector

JAW_AND_MOUTH = [*range(3, 14), *range(48, 68)]
RIGHT_EYE, EYES = range(36, 42), range(36, 48)


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(showing, "_PEOPLE", 2)


class Frozen:
    """Sees some points where they are in the first picture, as if nobody could move them."""

    def __init__(self, still=()):
        self.detector, self.still = EmbeddedDetector(FIRST_BUNDLE / "detector.safetensors"), list(still)
        self.topology, self.fingerprint = self.detector.topology, ""

    def detect(self, images):
        points = self.detector.detect(images).clone()
        points[:, :, self.still] = points[:1, :, self.still]
        return points


def hidden_by(model, detector):
    return showing.unshown(showing.shares(model, detector))


def test_what_pictures_show_stays(default_model):
    assert hidden_by(default_model, Frozen()) == {}


def test_what_no_picture_shows_goes_and_says_so(default_model):
    hidden = hidden_by(default_model, Frozen(JAW_AND_MOUTH))
    assert hidden.keys() == {"jawOpen", "mouthSmile", "mouthPucker"} & default_model.controls.keys()
    assert all(abs(share) < 0.25 for share in hidden.values())


def test_left_and_right_stay_or_go_together(default_model):
    lids = {"eyeBlinkLeft", "eyeBlinkRight"}
    assert lids <= hidden_by(default_model, Frozen(EYES)).keys()
    assert not lids & hidden_by(default_model, Frozen(RIGHT_EYE)).keys()


def test_people_without_a_face_do_not_count(default_model, monkeypatch):
    class Blind(Frozen):
        def detect(self, images):
            return torch.full((len(images), 2, 68), np.nan)

    assert showing.shares(default_model, Blind()) == {}

    def refuse(self, seed, truncation=0.7):
        raise LatentError("no face")

    monkeypatch.setattr(FaceModel, "open_seed", refuse)
    assert showing.shares(default_model, Frozen()) == {}


def test_what_neither_is_read_nor_shown_is_left_out(default_model, monkeypatch):
    count = len(default_model.controls)
    monkeypatch.setattr(showing, "_measured", lambda *_: np.stack([np.full(count, 0.1), np.full(count, -0.1)]))
    measured = showing.shares(default_model, Frozen())
    assert measured["jawOpen"] == showing.Share(0.1, 1.0)
    assert showing.unshown(measured).keys() == default_model.controls.keys()


def test_edits_ask_for_what_pictures_do_not_show_of_what_is_read(default_model):
    """Half of a movement is shown, so edits move twice as far, and count as reached what is shown of that."""

    class Halved(Frozen):
        def detect(self, images):
            points = self.detector.detect(images)
            return points[:1] + 0.5 * (points - points[:1])

    measured, halved = (showing.shares(default_model, detector) for detector in (Frozen(), Halved()))
    jaws = [default_model.controls["jawOpen"].shown, *(each["jawOpen"].of_read for each in (measured, halved))]
    assert jaws[2] == pytest.approx(jaws[1] / 2, rel=0.05)
    person, moves, edits = default_model.open_seed(0), {"jawOpen": 0.4}, []
    for shown in (1.0, 0.5):
        model = copy.copy(default_model)
        model.controls = {name: replace(control, shown=shown) for name, control in model.controls.items()}
        edits.append(model.edit(person, person.pose.yaw, person.pose.pitch, moves))
    twice = default_model.with_regressor(default_model.regressor, default_model.appearance)
    alike = twice.edit(person, person.pose.yaw, person.pose.pitch, {"jawOpen": 0.8})
    assert torch.equal(edits[1].ws, alike.ws)
    assert edits[1].residual["jawOpen"] == pytest.approx(alike.residual["jawOpen"] / 2, abs=1e-9)
    assert not torch.equal(edits[0].ws, edits[1].ws)


def test_shares_are_bounded_and_those_not_measured_are_whole(default_model, monkeypatch):
    measured = {"jawOpen": showing.Share(0.9, 0.1), "mouthSmile": showing.Share(0.9, 9.0)}
    asked = []

    def again(model, detector):
        asked.append({name: control.shown for name, control in model.controls.items()})
        return measured | {"mouthSmile": showing.Share(0.9, 0.8)}

    monkeypatch.setattr(showing, "shares", again)
    found = showing.as_shown(default_model, Frozen(), measured)
    wanted = ("jawOpen", "mouthSmile", "eyeBlinkLeft")
    assert [asked[0][name] for name in wanted] == [0.5, 1.0, 1.0]
    assert [found[name].shown for name in wanted] == [0.5, 0.9, 1.0]


def test_a_fit_of_which_no_control_is_left_says_what_to_do(default_model):
    controls = dict(default_model.controls)
    assert list(showing.left_of(controls, {"jawOpen"})) == [name for name in controls if name != "jawOpen"]
    for some, hidden in ((controls, controls), ({}, ())):
        with pytest.raises(BundleError, match="show no expression: fit with"):
            showing.left_of(some, hidden)
