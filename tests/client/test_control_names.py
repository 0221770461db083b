# SPDX-License-Identifier: Apache-2.0
"""What was posed with one model's controls is posed with another's."""

from __future__ import annotations

import pytest

from effigy_client.control_names import equivalents, translate
from effigy_client.mirror import twins_by_name

FIRST = ("jawOpen", "mouthSmile", "eyeBlinkLeft", "eyeBlinkRight", "browUp", "mouthPucker")
SIDES = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlink", "browUpLeft", "browUpRight", "browInnerUp")


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("jawOpen", SIDES, ("jawOpen",)),
        ("mouthSmile", SIDES, ("mouthSmileLeft", "mouthSmileRight")),
        ("eyeBlinkLeft", SIDES, ("eyeBlink",)),
        ("browUp", SIDES, ("browUpLeft", "browUpRight")),
        ("browUp", ("browOuterUpLeft", "browOuterUpRight", "browInnerUp"), ("browOuterUpLeft", "browOuterUpRight")),
        ("browUp", ("browInnerUp",), ("browInnerUp",)),
        ("browOuterUpLeft", ("browUpLeft", "browUpRight"), ("browUpLeft",)),
        ("browOuterUpLeft", FIRST, ("browUp",)),
        ("mouthPucker", SIDES, ()),
        ("tongueOut", SIDES, ()),
        ("Left", SIDES, ()),
    ],
)
def test_the_heirs_of_a_control(name, known, expected):
    assert equivalents(name, twins_by_name(known)) == expected


def test_values_go_to_the_heirs():
    old = {
        "jawOpen": 0.5,
        "mouthSmile": 0.2,
        "eyeBlinkLeft": 1.0,
        "eyeBlinkRight": 0.0,
        "browUp": -0.3,
        "mouthPucker": 0.4,
    }
    assert translate(old, twins_by_name(SIDES)) == {
        "jawOpen": 0.5, "mouthSmileLeft": 0.2, "mouthSmileRight": 0.2, "eyeBlink": 0.5, "browUpLeft": -0.3,
        "browUpRight": -0.3,
    }  # fmt: skip
    assert translate(old, twins_by_name(FIRST)) == old
    assert translate({}, twins_by_name(FIRST)) == {}


def test_a_control_of_the_same_name_goes_before_relatives():
    assert translate({"browUp": 1.0, "browInnerUp": 0.2}, twins_by_name(("browInnerUp",))) == {"browInnerUp": 0.2}
