# SPDX-License-Identifier: Apache-2.0
"""What ``effigy evaluate`` measures of a face model's edits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from effigy.faces import FIRST_BUNDLE, load_paper_regressor
from effigy.fitting.drift import Shading, drift, full_strength
from effigy.fitting.evaluation import Judge, compare, evaluate, report
from effigy.geometry import load_topology
from effigy.landmarks import EmbeddedDetector
from effigy.recognition import load_embedder


@pytest.fixture(scope="module")
def judge():
    detector = EmbeddedDetector(FIRST_BUNDLE / "detector.safetensors")
    recogniser = load_embedder("judge", FIRST_BUNDLE, torch.device("cpu"))
    return Judge(detector, recogniser, identities=2, shading=Shading.from_file(FIRST_BUNDLE / "shading.json"))


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
