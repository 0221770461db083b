# SPDX-License-Identifier: Apache-2.0
"""The solver behind dragging and landmark tracks finds the pose and expression that made the landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effigy_client.follow import Shape, fit_view, follow


def shape(controls=3, landmarks=20):
    random = np.random.default_rng(0)
    rest = random.normal(size=(landmarks, 3))
    directions = 0.3 * random.normal(size=(controls, landmarks, 3))
    return Shape(rest, directions, -np.ones(controls), np.ones(controls))


def turned(yaw, pitch):
    c, s = np.cos(yaw), np.sin(yaw)
    a, b = np.cos(pitch), np.sin(pitch)
    return np.array([[1, 0, 0], [0, a, -b], [0, b, a]]) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def test_what_is_wanted_already_changes_nothing():
    face = shape()
    seen = face.rest[:, :2]
    found = follow(face, np.zeros(3), np.eye(3), np.arange(20), seen)
    np.testing.assert_allclose(found.controls, 0, atol=1e-9)
    np.testing.assert_allclose(found.rotation, np.eye(3), atol=1e-9)


def test_a_single_landmark_comes_where_it_is_wanted():
    face = shape()
    wanted = face.rest[4, :2] + [0.06, -0.04]
    found = follow(face, np.zeros(3), np.eye(3), np.array([4]), wanted[None])
    assert found.error < 0.005


def test_controls_that_may_not_change_stay():
    face = shape()
    found = follow(face, np.zeros(3), np.eye(3), np.array([4]), face.rest[4:5, :2] + 0.1, may_change=False)
    np.testing.assert_allclose(found.controls, 0, atol=1e-6)
    assert np.abs(found.rotation - np.eye(3)).max() > 0.01


@settings(max_examples=25)
@given(st.lists(st.floats(-3, 3), min_size=40, max_size=40))
def test_controls_never_leave_their_range(values):
    face = shape()
    wanted = np.array(values).reshape(20, 2)
    found = follow(face, np.zeros(3), np.eye(3), np.arange(20), wanted)
    assert (found.controls >= face.low).all()
    assert (found.controls <= face.high).all()
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-9)


def test_all_landmarks_of_a_picture_tell_pose_expression_and_camera():
    face = shape(landmarks=68)
    controls, rotation = np.array([0.5, -0.3, 0.0]), turned(0.4, -0.2)
    picture = 120 * (face.points(controls) @ rotation.T)[:, :2] + [300, -200]
    found, scale, shift = fit_view(face, np.zeros(3), np.eye(3), picture, rounds=12)
    np.testing.assert_allclose(found.controls, controls, atol=0.02)
    np.testing.assert_allclose(found.rotation, rotation, atol=0.01)
    assert scale == pytest.approx(120, rel=0.01)
    np.testing.assert_allclose(shift, [300, -200], atol=2)
