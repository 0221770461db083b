# SPDX-License-Identifier: Apache-2.0
"""A fit leaves out controls that pictures do not show."""

from __future__ import annotations

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


def test_what_pictures_show_stays(default_model):
    assert showing.unshown(default_model, Frozen()) == {}


def test_what_no_picture_shows_goes_and_says_so(default_model):
    hidden = showing.unshown(default_model, Frozen(JAW_AND_MOUTH))
    assert hidden.keys() == {"jawOpen", "mouthSmile", "mouthPucker"} & default_model.controls.keys()
    assert all(abs(share) < 0.25 for share in hidden.values())


def test_left_and_right_stay_or_go_together(default_model):
    lids = {"eyeBlinkLeft", "eyeBlinkRight"}
    assert lids <= showing.unshown(default_model, Frozen(EYES)).keys()
    assert not lids & showing.unshown(default_model, Frozen(RIGHT_EYE)).keys()


def test_people_without_a_face_do_not_count(default_model, monkeypatch):
    class Blind(Frozen):
        def detect(self, images):
            return torch.full((len(images), 2, 68), np.nan)

    assert showing.unshown(default_model, Blind()) == {}

    def refuse(self, seed, truncation=0.7):
        raise LatentError("no face")

    monkeypatch.setattr(FaceModel, "open_seed", refuse)
    assert showing.unshown(default_model, Frozen()) == {}


def test_a_fit_of_which_no_control_is_left_says_what_to_do(default_model):
    controls = dict(default_model.controls)
    assert list(showing.left_of(controls, {"jawOpen"})) == [name for name in controls if name != "jawOpen"]
    for some, hidden in ((controls, controls), ({}, ())):
        with pytest.raises(BundleError, match="show no expression: fit with"):
            showing.left_of(some, hidden)
