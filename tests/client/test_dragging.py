# SPDX-License-Identifier: Apache-2.0
"""The solver behind a dragged point: expressions by what the hand means, within the controls' ranges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effigy_client.dragging import express, may_move, turn, turns_head
from effigy_client.follow import Shape

# Control 0 moves the points up, control 1 to the right, control 2 hardly.
_WAYS = np.array([[0.0, 0.1, 0.0], [0.1, 0.0, 0.0], [0.001, 0.001, 0.0]])
FACE = Shape(
    np.random.default_rng(0).normal(size=(4, 3)), np.repeat(_WAYS[:, None], 4, axis=1), -0.5 * np.ones(3), np.ones(3)
)
POINT = np.array([1])


def drag(move, controls=(0.0, 0.0, 0.0), rotation=np.eye(3), landmarks=POINT):
    start = np.array(controls)
    seen = (FACE.points(start)[landmarks] @ rotation.T)[:, :2]
    return express(FACE, start, rotation, landmarks, seen + move)


def test_a_drag_of_no_length_changes_nothing():
    np.testing.assert_array_equal(drag((0, 0), (0.3, -0.2, 0.1)), (0.3, -0.2, 0.1))


def test_the_control_that_goes_the_hands_way_moves_and_no_other():
    np.testing.assert_allclose(drag((0, 0.05)), (0.5, 0, 0), atol=0.03)
    np.testing.assert_allclose(drag((-0.02, 0)), (0, -0.2, 0), atol=0.03)


def test_what_cannot_be_reached_ends_at_the_ends_of_the_range():
    np.testing.assert_allclose(drag((0, 3.0)), (1, 0, 0), atol=1e-3)
    np.testing.assert_allclose(drag((0, -3.0)), (-0.5, 0, 0), atol=1e-3)


def test_the_hands_way_is_as_it_is_seen():
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # up on the face is left in the view
    np.testing.assert_allclose(drag((-0.05, 0), rotation=quarter), (0.5, 0, 0), atol=0.03)


def test_an_iris_leads_the_gaze_and_a_lid_does_not():
    names = ["eyeBlinkLeft", "gazeUp", "eyeLookUpLeft"]
    for count, lid, iris in ((68, 44, None), (70, 44, 69), (478, 386, 473)):
        np.testing.assert_array_equal(may_move(names, lid, count), [True, False, False])
        assert iris is None or may_move(names, iris, count).all()
    start, wanted = np.zeros(3), FACE.rest[POINT, :2] + (0, 0.05)
    found = express(FACE, start, np.eye(3), POINT, wanted, np.array([False, True, True]))
    assert found[0] == 0
    np.testing.assert_array_equal(express(FACE, start, np.eye(3), POINT, wanted, np.zeros(3, np.bool_)), start)


def test_a_point_that_no_control_moves_stays():
    still = Shape(FACE.rest, FACE.directions * 0.1, FACE.low, FACE.high)
    wanted = still.rest[POINT, :2] + 0.1
    np.testing.assert_array_equal(express(still, np.zeros(3), np.eye(3), POINT, wanted), 0)
    none = Shape(FACE.rest, np.zeros((0, 4, 3)), np.zeros(0), np.zeros(0))
    assert express(none, np.zeros(0), np.eye(3), POINT, wanted).shape == (0,)


@settings(max_examples=25)
@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.lists(st.floats(-0.5, 1), min_size=3, max_size=3))
def test_controls_never_leave_their_range(moves, start):
    found = drag(np.array(moves).reshape(2, 2), start, landmarks=np.array([0, 2]))
    assert (found >= FACE.low - 1e-9).all()
    assert (found <= FACE.high + 1e-9).all()


@pytest.mark.parametrize(
    ("place", "way", "axis"),
    [((0, -0.3, 0.7), (0.1, 0), 1), ((0, -0.3, 0.7), (0, 0.1), 0), ((0, -1.2, 0.4), (0.1, 0), 2)],  # nose, nose, chin
)
def test_the_head_turns_about_the_axis_that_the_hand_means(place, way, axis):
    face = Shape(np.array([place]), np.zeros((0, 1, 3)), np.zeros(0), np.zeros(0))
    found = turn(face, np.zeros(0), np.eye(3), np.array([0]), np.array([place[:2]]) + way)
    np.testing.assert_allclose((found @ place)[:2], np.add(place[:2], way), atol=0.02)
    about = np.array([found[2, 1] - found[1, 2], found[0, 2] - found[2, 0], found[1, 0] - found[0, 1]]) / 2
    assert np.abs(np.delete(about, axis)).max() < 0.1 * abs(about[axis])


def test_nose_chin_and_jaw_line_turn_the_head_in_every_known_mesh():
    assert [turns_head(point, 68) for point in (0, 8, 30, 33, 17, 36, 48, 66)] == [True] * 4 + [False] * 4
    assert not any(turns_head(point, 70) for point in (68, 69))  # the irises
    assert [turns_head(point, 478) for point in (1, 152, 234, 61, 159, 105)] == [True] * 3 + [False] * 3
    assert not turns_head(0, 12)
