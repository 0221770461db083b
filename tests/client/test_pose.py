# SPDX-License-Identifier: Apache-2.0
"""The add-on's mathematics of pose agrees with the backend's, and moves nothing that it should not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from effigy.geometry import angles, rotation
from effigy_client.pose import (
    FACE_TO_LOCAL,
    Angles,
    View,
    angles_of,
    head_rotation,
    landmarks_to_local,
    plate_matrix,
)

degrees = st.floats(-80, 80)
FRONT = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # a camera that looks along +Y, upright


def matrix(axes=None, location=(0.0, 0.0, 0.0), scale=1.0):
    result = np.eye(4)
    result[:3, :3] = (np.eye(3) if axes is None else axes) * scale
    result[:3, 3] = location
    return result


def front(distance=10.0):
    return matrix(FRONT, (0, -distance, 0))


def test_an_unturned_head_looks_straight_into_a_camera_in_front_of_it():
    for perspective in (False, True):
        assert angles_of(View(matrix(), front(), perspective)) == Angles(0.0, 0.0, 0.0)


@given(degrees, degrees, degrees)
def test_the_angles_are_those_of_the_backends_rotation(yaw, pitch, roll):
    R = rotation(*np.radians([yaw, pitch, roll]))
    head = matrix(FRONT @ R @ FACE_TO_LOCAL.T)
    seen = angles_of(View(head, front(), perspective=False))
    expected = [float(np.degrees(a)) for a in angles(R)]
    np.testing.assert_allclose([seen.yaw, seen.pitch, seen.roll], expected, atol=1e-6)


@given(degrees, degrees, degrees, st.booleans(), st.integers(0, 2**32 - 1))
def test_a_head_turned_to_angles_is_seen_under_them_by_any_camera(yaw, pitch, roll, perspective, seed):
    random = np.random.default_rng(seed)
    camera = matrix(Rotation.random(random_state=random).as_matrix(), random.normal(size=3) * 5)
    place = matrix(location=random.normal(size=3))
    wanted = Angles(yaw, pitch, roll)
    turned = matrix(head_rotation(wanted, View(place, camera, perspective)), place[:3, 3], scale=2.5)
    seen = angles_of(View(turned, camera, perspective))
    np.testing.assert_allclose([seen.yaw, seen.pitch, seen.roll], [yaw, pitch, roll], atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_moving_head_and_camera_together_changes_nothing(seed, perspective):
    random = np.random.default_rng(seed)
    head = matrix(Rotation.random(random_state=random).as_matrix(), random.normal(size=3))
    camera = matrix(Rotation.random(random_state=random).as_matrix(), random.normal(size=3) * 8)
    motion = matrix(Rotation.random(random_state=random).as_matrix(), random.normal(size=3))
    before = angles_of(View(head, camera, perspective))
    after = angles_of(View(motion @ head, motion @ camera, perspective))
    np.testing.assert_allclose([after.yaw, after.pitch, after.roll], [before.yaw, before.pitch, before.roll], atol=1e-6)


def test_a_camera_to_the_pictures_left_sees_the_face_turned_right():
    angle = np.radians(-20)  # the camera moves towards −X
    turn = Rotation.from_rotvec([0, 0, angle]).as_matrix()
    camera = matrix(turn @ FRONT, turn @ [0, -10, 0])
    assert angles_of(View(matrix(), camera, perspective=True)).yaw == pytest.approx(20)


def test_a_perspective_camera_sees_a_face_beside_its_axis_from_the_side():
    beside = matrix(location=(5.0, 0, 0))
    assert angles_of(View(beside, front(), perspective=False)).yaw == pytest.approx(0)
    # To the right of the axis a face that looks straight ahead shows its picture-left side.
    assert angles_of(View(beside, front(), perspective=True)).yaw == pytest.approx(np.degrees(np.arctan2(5, 10)))


def test_scale_and_mirroring_do_not_turn_a_head():
    head = matrix()
    head[:3, :3] = np.diag([2.0, 3.0, 0.5])
    assert angles_of(View(head, front(), perspective=False)) == Angles(0.0, 0.0, 0.0)


@given(degrees, degrees, degrees, st.floats(0.1, 10))
def test_a_mirrored_head_turns_as_the_same_head_that_is_not(yaw, pitch, roll, size):
    asked = Angles(yaw, pitch, roll)
    axes = head_rotation(asked, View(matrix(), front(), perspective=False))
    head = matrix(axes @ np.diag([-1.0, 1.0, 1.0]), scale=size)
    found = angles_of(View(head, front(), perspective=False))
    assert (found.yaw, found.pitch, found.roll) == pytest.approx((yaw, pitch, roll), abs=1e-6)


def test_a_camera_inside_the_head_or_behind_it_is_no_error():
    assert angles_of(View(matrix(), matrix(FRONT), perspective=True)) == Angles(0.0, 0.0, 0.0)
    behind = angles_of(View(matrix(), matrix(FRONT, (0, 10, 0)), perspective=True))
    assert np.isfinite([behind.yaw, behind.pitch, behind.roll]).all()


def test_the_plate_faces_the_camera_at_the_head_and_rolls_with_it():
    head = matrix(location=(1.0, 2.0, 3.0), scale=2.0)
    flat = plate_matrix(View(head, front(), perspective=False), 0.0, 0.0, 3.0, (0.0, 0.0))
    np.testing.assert_allclose(flat[:3, :3], FRONT * 6.0, atol=1e-12)
    np.testing.assert_allclose(flat[:3, 3], [1, 2, 3])
    rolled = plate_matrix(View(head, front(), perspective=False), 30.0, 10.0, 3.0, (0.0, 0.0))
    # 20° counter-clockwise as the camera sees it: the plate's right end goes up.
    assert rolled[2, 0] / 6.0 == pytest.approx(np.sin(np.radians(20)))


def test_the_plates_offset_is_measured_in_head_units_and_rolls_along():
    head = matrix(scale=2.0)
    view = View(head, front(), perspective=False)
    np.testing.assert_allclose(plate_matrix(view, 0, 0, 3.0, (0.5, 0.25))[:3, 3], [1.0, 0.0, 0.5], atol=1e-12)
    np.testing.assert_allclose(plate_matrix(view, 90, 0, 3.0, (0.5, 0.0))[:3, 3], [0.0, 0.0, 1.0], atol=1e-12)


def test_landmarks_stand_upright_and_look_along_minus_y():
    points = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]).T
    np.testing.assert_array_equal(landmarks_to_local(points), [[1, 0, 0], [0, 0, 1], [0, -1, 0]])
