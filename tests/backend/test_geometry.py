# SPDX-License-Identifier: Apache-2.0
"""Camera, NRSfM and gauge: what projects, what is fitted, and in which frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from effigy.editing.training import rotation_matrix
from effigy.geometry import (
    Camera,
    FitOptions,
    GeometryError,
    angles,
    fit,
    infer,
    project,
    rotation,
)
from effigy.geometry.camera import nearest_rotation
from effigy.geometry.gauge import contour_visibility, pivot, remove_rigid_motions, rigidity, shift_origin

FIXTURES = Path(__file__).parents[1] / "fixtures"
FLIP = np.diag([1.0, -1.0, -1.0])  # the fixtures' camera has y down and z away
degrees = st.floats(-80, 80)


@given(degrees, degrees, degrees)
def test_angles_undo_rotation(yaw, pitch, roll):
    given_angles = np.radians([[yaw], [pitch], [roll]])
    R = rotation(*given_angles)
    np.testing.assert_allclose(angles(R), given_angles, atol=1e-9)
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.eye(3)[None], atol=1e-12)


def test_positive_angles_turn_the_nose_right_up_and_the_head_counter_clockwise():
    nose, crown = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])
    ten, zero = np.radians(10), 0.0
    assert (rotation(ten, zero, zero) @ nose)[0] > 0
    assert (rotation(zero, ten, zero) @ nose)[1] > 0
    assert (rotation(zero, zero, ten) @ crown)[0] < 0


def test_projection_puts_x_right_and_y_down():
    camera = Camera(np.eye(3)[None], np.array([0.3]), np.array([[0.5, 0.5]]))
    (points,) = project(np.array([[[1.0, 0, 5], [0, 1, 5], [7, 7, 7]]]), camera)
    np.testing.assert_allclose(points.T, [[0.8, 0.5], [0.5, 0.2], [2.0, -1.0]])


def test_small_rotation_is_a_rotation_about_its_vector():
    v = np.random.default_rng(0).normal(size=(20, 3))
    R = rotation_matrix(torch.from_numpy(v)).numpy()
    np.testing.assert_allclose(np.einsum("nij,nj->ni", R, v), v, atol=1e-12)
    np.testing.assert_allclose((np.trace(R, axis1=1, axis2=2) - 1) / 2, np.cos(np.linalg.norm(v, axis=1)), atol=1e-12)
    np.testing.assert_allclose(nearest_rotation(R * 3.0), R, atol=1e-12)


def test_the_mean_face_is_frontal_symmetric_and_of_unit_size(fitted, topology):
    mean = fitted.model.mean
    left, right = topology.unit
    assert np.linalg.norm(mean[:, right] - mean[:, left]) == pytest.approx(1.0)
    mirrored = mean[:, topology.mirror] * np.array([-1.0, 1, 1])[:, None]
    assert np.abs(mean - mean[:, :1] - (mirrored - mirrored[:, :1])).max() < 0.03
    assert mean[0, right] > mean[0, left]
    assert mean[2, 30] > mean[2, [36, 45, 0, 16]].max(), "the nose is in front"
    assert mean[1, 27] > mean[1, 8], "the chin is below"


def test_pose_and_shape_come_out_as_they_went_in(fitted, clean):
    yaw = np.degrees(angles(fitted.camera.R)[0])
    assert np.polyfit(clean["yaw"], yaw, 1)[0] == pytest.approx(1.0, abs=0.03)
    assert shape_error(fitted.model.shape(fitted.alpha), clean) < 2.4
    nme = (
        100
        * (np.linalg.norm(fitted.reprojection - clean["W"], axis=1).mean(axis=1) / (clean["s"] * clean["iod"])).mean()
    )
    assert nme < 1.6


def test_outliers_and_missing_points_are_borne(topology):
    hard = dict(np.load(FIXTURES / "faces_hard.npz"))
    seen = np.unpackbits(hard["vis"], axis=1)[:, :68].astype(float)
    W = np.where(seen[:, None] > 0, hard["W"], np.nan)
    result = fit(W, topology, FitOptions(basis=12, sweeps=30, robust=True), weights=seen)
    assert shape_error(result.model.shape(result.alpha), hard) < 3.3


def test_views_are_independent_of_each_other_and_of_their_order(fitted, clean):
    W = clean["W"][:40]
    together = infer(fitted.model, W)
    order = np.random.default_rng(0).permutation(40)
    shuffled = infer(fitted.model, W[order])
    np.testing.assert_allclose(shuffled.alpha, together.alpha[order], atol=1e-9)
    alone = infer(fitted.model, W[7:8])
    np.testing.assert_allclose(alone.alpha[0], together.alpha[7], atol=1e-9)
    np.testing.assert_allclose(alone.camera.R[0], together.camera.R[7], atol=1e-9)


def test_mirrored_views_give_the_mirrored_pose(fitted, clean, topology):
    W = clean["W"][:60]
    mirrored = W[:, :, topology.mirror].copy()
    mirrored[:, 0] = 1 - mirrored[:, 0]
    yaw, pitch, roll = (np.degrees(a) for a in angles(infer(fitted.model, W).camera.R))
    yaw2, pitch2, roll2 = (np.degrees(a) for a in angles(infer(fitted.model, mirrored).camera.R))
    # The fitted mean is symmetric up to the noise of the fit.
    assert np.abs(yaw + yaw2).mean() < 1.0
    assert np.abs(pitch - pitch2).mean() < 0.5
    assert np.abs(roll + roll2).mean() < 0.5


def test_a_fit_is_deterministic(clean, topology):
    options = FitOptions(basis=4, sweeps=3)
    first, second = (fit(clean["W"][:100], topology, options) for _ in range(2))
    np.testing.assert_array_equal(first.model.basis, second.model.basis)
    np.testing.assert_array_equal(first.camera.R, second.camera.R)


def test_moving_the_origin_moves_no_point_of_the_picture(fitted):
    shape, camera = shift_origin(fitted.model, fitted.camera, np.array([0.1, -0.2, 0.3]))
    before = project(fitted.model.shape(fitted.alpha), fitted.camera)
    np.testing.assert_allclose(project(shape.shape(fitted.alpha), camera), before, atol=1e-12)


def test_the_pivot_is_the_point_that_stays_in_the_middle(fitted):
    _, camera = shift_origin(fitted.model, fitted.camera, pivot(fitted.camera))
    np.testing.assert_allclose(camera.t.mean(axis=0), 0.5, atol=0.05)
    assert camera.t.std() <= fitted.camera.t.std() + 1e-9


def test_rigid_motions_are_removed_and_deformations_kept():
    mean = np.random.default_rng(0).normal(size=(3, 20))
    mean -= mean.mean(axis=1, keepdims=True)
    turn = np.cross(np.array([0.3, 1.0, -0.2]), mean.T).T
    everywhere = np.ones(20)
    deformation = remove_rigid_motions(np.random.default_rng(1).normal(size=(1, 3, 20)), mean, everywhere)
    mixed = deformation + turn + 0.7 * mean + np.ones((3, 20))
    np.testing.assert_allclose(remove_rigid_motions(mixed, mean, everywhere), deformation, atol=1e-9)


def test_the_skull_does_not_move_when_the_expression_does(fitted, topology):
    # A rigid motion of the rigid landmarks would be a pose: none is left in the basis.
    moved = remove_rigid_motions(fitted.model.basis, fitted.model.mean, rigidity(topology))
    np.testing.assert_allclose(moved, fitted.model.basis, atol=1e-9)


def test_pose_is_the_skulls(fitted, clean):
    error = rotation_error(FLIP @ fitted.camera.R, clean["R"])
    assert error.mean() < 2.0


def test_the_order_of_views_changes_nothing(clean, topology):
    options = FitOptions(basis=4, sweeps=5)
    W = clean["W"][:120]
    order = np.random.default_rng(0).permutation(120)
    straight, shuffled = fit(W, topology, options), fit(W[order], topology, options)
    np.testing.assert_allclose(shuffled.model.mean, straight.model.mean, atol=1e-6)
    np.testing.assert_allclose(shuffled.camera.R, straight.camera.R[order], atol=1e-6)
    np.testing.assert_allclose(shuffled.reprojection, straight.reprojection[order], atol=1e-6)


def test_outliers_are_looked_for_and_only_borne_where_they_are(clean, topology):
    options = FitOptions(basis=4, sweeps=9)
    assert fit(clean["W"][:300], topology, options).diagnostics["robust"] is False
    hard = np.load(FIXTURES / "faces_hard.npz")
    assert fit(hard["W"][:300], topology, options).diagnostics["robust"] is True


def test_a_turned_face_hides_the_contour_of_its_far_side(topology):
    yaw = np.radians([0.0, 30.0, -30.0])
    camera = Camera(rotation(yaw, 0 * yaw, 0 * yaw), np.ones(3), np.zeros((3, 2)))
    frontal, right, left = contour_visibility(camera, topology)
    assert (frontal == 1).all()
    assert (right[9:17] < 0.1).all()
    assert (right[:9] == 1).all()
    np.testing.assert_array_equal(left, right[topology.mirror])
    assert (right[17:] == 1).all()


def test_views_without_turn_are_refused(topology):
    random = np.random.default_rng(0)
    face = random.normal(size=(3, 68))
    W = 0.5 + 0.1 * np.repeat(face[None, :2], 200, axis=0) + random.normal(size=(200, 2, 68)) * 1e-4
    with pytest.raises(GeometryError, match="depth is not observable"):
        fit(W, topology, FitOptions(basis=4))


@pytest.mark.parametrize(
    ("W", "message"),
    [
        (np.zeros((100, 68, 2)), r"\[N, 2, 68\]"),
        (np.zeros((10, 2, 68)), "too few"),
        (np.full((100, 2, 68), np.nan), "NaN"),
    ],
)
def test_unusable_landmarks_are_refused_with_a_reason(topology, W, message):
    with pytest.raises(GeometryError, match=message):
        fit(W, topology, FitOptions(basis=4))


def rotation_error(found, truth):
    """Returns degrees per view after one rotation of the face frame."""
    turned = found @ nearest_rotation(np.einsum("nji,njk->ik", found, truth))
    cosine = (np.einsum("nij,nij->n", turned, truth) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def shape_error(X, truth):
    """Returns the mean 3D distance, in percent of the outer-eye distance, after a similarity transform of each view."""
    A, B = X - X.mean(axis=2, keepdims=True), truth["X"] - truth["X"].mean(axis=2, keepdims=True)
    R = nearest_rotation(B @ A.transpose(0, 2, 1))
    turned = R @ A
    scale = (turned * B).sum(axis=(1, 2)) / (turned**2).sum(axis=(1, 2))
    distance = np.linalg.norm(scale[:, None, None] * turned - B, axis=1).mean(axis=1)
    return 100 * (distance / truth["iod"]).mean()
