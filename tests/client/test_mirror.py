# SPDX-License-Identifier: Apache-2.0
"""What a mirror makes of a face's controls is what its model says, and not how they are called."""

from __future__ import annotations

import numpy as np
import pytest

from effigy_client.mirror import Twin, mirrored, sides_of, twins_by_name, twins_of
from effigy_protocol.arkit import SHAPES, sources, split_side
from effigy_protocol.messages import Parameter

TWINS = twins_of(
    (
        Parameter("eyeBlinkLeft", "eyes", -0.2, 1.0, "eyeBlinkRight"),
        Parameter("eyeBlinkRight", "eyes", -0.2, 1.0, "eyeBlinkLeft"),
        Parameter("jawSide", "mouth", -1.0, 1.0, "jawSide", is_odd=True),
        Parameter("pulled this way", "mouth", -1.0, 1.0, "pulled that way", is_odd=True),
        Parameter("pulled that way", "mouth", -1.0, 1.0, "pulled this way", is_odd=True),
        Parameter("coldLeft", "mouth", 0.0, 1.0, "coldLeft"),
    )
)


def test_sides_change_over_and_sideways_turns_round():
    values = {"eyeBlinkLeft": 0.7, "eyeBlinkRight": 0.1, "jawSide": 0.5, "pulled this way": 0.3, "pulled that way": 0.2}
    assert mirrored(values, TWINS) == {
        "eyeBlinkLeft": 0.1, "eyeBlinkRight": 0.7, "jawSide": -0.5, "pulled this way": -0.2, "pulled that way": -0.3,
    }  # fmt: skip
    assert mirrored(mirrored(values, TWINS), TWINS) == values


def test_values_without_a_twin_stay_and_others_are_not_touched():
    values = {"coldLeft": 0.4, "eyeBlinkLeft": 0.7, "unknownLeft": 0.2, "unknownRight": 0.1}
    assert mirrored(values, TWINS) == values


def test_every_frame_is_mirrored():
    found = mirrored({"jawSide": np.array([0.0, 0.2]), "eyeBlinkLeft": np.ones(2), "eyeBlinkRight": np.zeros(2)}, TWINS)
    np.testing.assert_array_equal(found["jawSide"], [0.0, -0.2])
    np.testing.assert_array_equal(found["eyeBlinkRight"], [1.0, 1.0])


def test_what_a_pair_shares_is_what_it_does():
    assert sides_of(TWINS) == {
        "eyeBlink": {"Left": "eyeBlinkLeft", "Right": "eyeBlinkRight"},
        "pulled th": {"is way": "pulled this way", "at way": "pulled that way"},
    }
    assert split_side("coldLeft", "coldLeft") == ("coldLeft", "")


def test_of_an_old_file_names_say_the_sides():
    names = ["jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "browUpLeft"]
    assert twins_by_name(names) == {
        "jawOpen": Twin("jawOpen"), "eyeBlinkLeft": Twin("eyeBlinkRight"), "eyeBlinkRight": Twin("eyeBlinkLeft"),
        "browUpLeft": Twin("browUpLeft"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("control", "twin", "expected"),
    [
        ("jawOpen", "jawOpen", [("jawOpen", 1.0)]),
        ("jawLeft", "jawRight", [("jawLeft", 1.0)]),
        ("eyeBlinkLeft", "eyeBlinkRight", [("eyeBlinkLeft", 1.0), ("eyeWideLeft", -0.5)]),
        ("eyeSquint", "eyeSquint", [("eyeSquintLeft", 0.5), ("eyeSquintRight", 0.5)]),
        ("cheekPuffLeft", "cheekPuffRight", [("cheekPuff", 1.0)]),
        ("earWiggle", "earWiggle", []),
    ],
)
def test_shapes_are_found_by_side(control, twin, expected):
    assert sources(control, twin, SHAPES) == expected
    lower = [shape.lower() for shape in SHAPES]
    assert sources(control, twin, lower) == [(shape.lower(), weight) for shape, weight in expected]
