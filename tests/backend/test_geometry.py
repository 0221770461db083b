# SPDX-License-Identifier: Apache-2.0
"""Laws of cameras, fits and gauge; accuracy against simulated faces with known truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kurtosis

from effigy.editing.training import rotation_matrix
from effigy.geometry import (
    Camera,
    FitOptions,
    GeometryError,
    ShapeModel,
    angles,
    fit,
    infer,
    load_topology,
    project,
    rotation,
    surface,
)
from effigy.geometry.camera import nearest_rotation
from effigy.geometry.expressions import departures, mirror_twins, name_expressions
from effigy.geometry.gauge import contour_visibility, fix_gauge, pivot, remove_rigid_motions, rigidity, shift_origin

FIXTURES = Path(__file__).parents[1] / "fixtures"
FLIP = np.diag([1.0, -1.0, -1.0])  # the fixtures' camera has y down and z away
degrees = st.floats(-80, 80)


@pytest.fixture(scope="module")
def topology():
    return load_topology("ibug68")


@pytest.fixture(scope="module")
def clean():
    return dict(np.load(FIXTURES / "faces_clean.npz"))


@pytest.fixture(scope="module")
def fitted(clean, topology):
    return fit(clean["W"], topology, FitOptions(basis=12, sweeps=30))


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


def test_left_and_right_are_apart_where_the_data_moves_them_apart(fitted, topology):
    random = np.random.default_rng(0)
    left, right = (np.zeros((3, 68)) for _ in range(2))
    left[1, [43, 44]], right[1, [37, 38]] = -0.05, -0.05
    model = replace(fitted.model, basis=np.concatenate([fitted.model.basis[:4], [left, right]]))
    alpha = random.normal(size=(2000, 6))
    alpha[:, 4:] = random.exponential(size=(2000, 2)) - 1
    names = [e.name for e in name_expressions(model, alpha, topology)]
    assert "eyeBlinkLeft" in names
    assert "eyeBlinkRight" in names
    alpha[:, 5] = alpha[:, 4]
    alpha += 1e-3 * random.normal(size=alpha.shape)
    assert "eyeBlink" in [e.name for e in name_expressions(model, alpha, topology)]


@pytest.mark.parametrize("seed", range(4))
def test_lids_are_found_although_only_skewness_shows_them(fitted, topology, seed):
    random = np.random.default_rng(seed)
    measures = {"eyeBlinkLeft": [43, 44], "eyeBlinkRight": [37, 38]}
    basis = 0.002 * random.normal(size=(8, 3, 68))
    for row, upper in enumerate(measures.values()):
        basis[row] = 0
        basis[row, 1, upper] = -0.05
    # Lids are a smooth step of a normal number, more often open than closed; the other six have heavy tails.
    lids = 1 / (1 + np.exp(-3.2 * (random.normal(size=(20_000, 2)) - 0.8)))
    assert (np.abs(kurtosis(lids)) < 0.25).all()
    alpha = np.concatenate([lids - lids.mean(axis=0), random.laplace(size=(20_000, 6))], axis=1)
    lids_only = replace(topology, actions={"eyeBlink": topology.actions["eyeBlink"]})
    found = {e.name: e for e in name_expressions(replace(fitted.model, basis=basis), alpha, lids_only)}
    for column, name in enumerate(measures):
        direction = found[name].direction / np.linalg.norm(found[name].direction)
        assert direction[column] > 0.99, name


def test_controls_are_uncorrelated_and_read_back_what_they_set(fitted, topology):
    expressions = name_expressions(fitted.model, fitted.alpha, topology)
    directions = np.stack([e.direction for e in expressions])
    readings = np.stack([e.reading for e in expressions])
    np.testing.assert_allclose(readings @ directions.T, np.eye(len(expressions)), atol=1e-9)


def test_whom_the_data_shows_keeps_looks_out_of_controls(fitted, topology):
    """500 people whose left brows lie at different heights, and who all raise both brows alike."""
    random = np.random.default_rng(3)
    left, both = np.zeros((3, 68)), np.zeros((3, 68))
    left[1, 22:27], both[1, 17:27] = -0.05, -0.05
    model = replace(fitted.model, basis=np.stack([left, both]))
    people = np.repeat(np.arange(500), 4)
    alpha = np.stack([2 * random.normal(size=500)[people], random.exponential(size=2000)], axis=1)
    alpha -= alpha.mean(axis=0)
    brows = replace(topology, actions={"browUp": topology.actions["browUp"]})
    assert [e.name for e in name_expressions(model, alpha, brows)] == ["browUpLeft", "browUpRight"]
    (raised,) = name_expressions(model, alpha, brows, people)
    assert raised.name == "browUp"
    assert abs(raised.reading[0]) < 0.05 * abs(raised.reading[1]), "the height of a brow at rest is no expression"
    assert raised.reading @ raised.direction == pytest.approx(1)


def test_departures_have_the_variance_of_moves_however_often_a_person_is_seen():
    random = np.random.default_rng(4)
    people = np.repeat(np.arange(4000), np.tile([2, 5], 2000))
    alpha = 10 * random.normal(size=(4000, 1))[people] + random.normal(size=(len(people), 1))
    moves = departures(alpha, people)
    for count in (2, 5):
        rows = np.bincount(people)[people] == count
        assert moves[rows].var() == pytest.approx(1, rel=0.05)
    alone = np.arange(3)
    assert (departures(alpha[:3], alone) == 0).all(), "whoever is seen once shows no move"


def test_an_expression_moves_its_own_measure_and_no_other(fitted, topology):
    expressions = name_expressions(fitted.model, fitted.alpha, topology)
    # These faces hardly pucker apart from other actions, so no such control is found.
    assert [e.name for e in expressions] == ["jawOpen", "mouthSmile", "eyeBlink", "browUp"]
    for expression in expressions:
        assert expression.low < 0 < expression.high
    jaw = expressions[0]
    closed, opened = fitted.model.shape(np.stack([np.zeros(12), jaw.direction]))
    gap = lambda X: X[1, [61, 62, 63]].mean() - X[1, [65, 66, 67]].mean()  # noqa: E731
    lids = lambda X: X[1, [37, 38]].mean() - X[1, [40, 41]].mean()  # noqa: E731
    assert gap(opened) - gap(closed) > 0.1
    assert abs(lids(opened) - lids(closed)) < 0.02


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


def test_an_unknown_topology_names_the_known_ones():
    with pytest.raises(ValueError, match="ibug68"):
        load_topology("ibug69")


def test_the_proxy_surface_is_closed_under_mirroring(topology):
    triangles = {frozenset(t) for t in topology.triangles.tolist()}
    assert {frozenset(topology.mirror[list(t)].tolist()) for t in triangles} == triangles
    assert {i for t in triangles for i in t} == set(range(68))


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


def test_the_irises_are_two_more_points_of_the_68_and_tell_where_eyes_look(topology):
    with_irises = load_topology("ibug70")
    np.testing.assert_array_equal(with_irises.mirror[:68], topology.mirror)
    assert with_irises.mirror[68:].tolist() == [69, 68]
    assert topology.actions.keys() <= with_irises.actions.keys()
    triangles = {frozenset(t) for t in with_irises.triangles.tolist()}
    assert {frozenset(with_irises.mirror[list(t)].tolist()) for t in triangles} == triangles
    assert {i for t in triangles for i in t} == set(range(70))
    for name, axis in (("gazeSide", 0), ("gazeUp", 1)):
        action = with_irises.actions[name]
        X = np.zeros((3, 70))
        X[axis] += 7.0  # moving the head does not change the gaze
        assert sum(w * X[a, p] for p, a, w in action.left + action.right) == pytest.approx(0)
        X[axis, 68:] += 1.0
        assert sum(w * X[a, p] for p, a, w in action.left + action.right) == pytest.approx(2)


@pytest.mark.parametrize("name", ["ibug68", "ibug70", "mediapipe478"])
def test_a_surface_is_found_over_any_landmarks(name):
    """It is symmetric, faces the viewer, and covers all points except for a few that coincide."""
    landmarks = load_topology(name)
    random = np.random.default_rng(0)
    mean = random.normal(size=(3, landmarks.count))
    mean = 0.5 * (mean + mean[:, landmarks.mirror] * [[-1], [1], [1]])
    own = landmarks.mirror == np.arange(landmarks.count)
    mean[0, own] = 0
    triangles = surface(mean, landmarks)
    a, b, c = (mean[:2, triangles[:, i]] for i in range(3))
    assert ((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0] > 0).all()
    mirrored = {tuple(sorted(t)) for t in landmarks.mirror[triangles]}
    assert mirrored == {tuple(sorted(t)) for t in triangles}
    assert len({tuple(sorted(t)) for t in triangles}) == len(triangles)
    assert len(set(triangles.ravel())) > 0.9 * landmarks.count


def test_points_in_a_line_have_no_surface(topology):
    mean = np.zeros((3, topology.count))
    mean[1] = np.linspace(0, 1, topology.count)
    assert surface(mean, topology).shape == (0, 3)


@pytest.mark.parametrize("name", ["ibug68", "ibug70", "mediapipe468", "mediapipe478", "blazepose33"])
def test_every_landmark_set_says_how_what_it_marks_lies(name):
    topology = load_topology(name)
    assert topology.downwards
    assert topology.rightwards
    for chain in (*topology.downwards, *topology.rightwards):
        landmarks = [landmark for group in chain for landmark in group]
        assert len(set(landmarks)) == len(landmarks) >= 2
        assert max(landmarks) < topology.count
    for chain in topology.rightwards:  # a chain that continues on the other side uses the mirrored landmarks
        twins = [{int(topology.mirror[landmark]) for landmark in group} for group in reversed(chain)]
        assert twins == [set(group) for group in chain]


@pytest.mark.parametrize("name", ["mediapipe468", "mediapipe478"])
def test_the_mesh_of_photographs_is_symmetric_and_lies_over_all_points(name):
    topology = load_topology(name)
    irises = topology.count - 468
    assert (topology.mirror != np.arange(topology.count)).sum() == 440 + irises
    assert len(topology.triangles) == 898 + (8 if irises else 0)
    triangles = {frozenset(t) for t in topology.triangles.tolist()}
    assert {frozenset(topology.mirror[list(t)].tolist()) for t in triangles} == triangles
    assert {i for t in triangles for i in t} == set(range(topology.count))
    assert topology.actions.keys() >= load_topology("ibug68").actions.keys()
    assert ("gazeSide" in topology.actions) == bool(irises)


@pytest.mark.parametrize("name", ["mediapipe468", "mediapipe478"])
def test_measures_of_the_mesh_know_neither_where_a_face_is_nor_its_sides(name):
    topology = load_topology(name)
    random = np.random.default_rng(0)
    X = random.normal(size=(3, topology.count))
    mirrored = X[:, topology.mirror] * [[-1], [1], [1]]

    def measure(terms, shape):
        return sum(weight * shape[axis, landmark] for landmark, axis, weight in terms)

    for action, (name, sided) in zip(topology.actions.values(), topology.actions.items(), strict=True):
        for terms in (sided.left, sided.right):
            assert measure(terms, X + np.array([[3], [5], [7]])) == pytest.approx(measure(terms, X), abs=1e-4)
        if action.left:
            sign = -1 if name == "gazeSide" else 1  # both eyes look to one side
            assert measure(action.left, X) == pytest.approx(sign * measure(action.right, mirrored), abs=1e-4)


@pytest.mark.parametrize("name", ["ibug68", "ibug70", "mediapipe478"])
def test_a_mirrored_face_shows_each_expression_as_its_twin(name):
    topology = load_topology(name)
    sides = [(action, "Left", terms.left) for action, terms in topology.actions.items() if terms.has_sides]
    sides += [(action, "Right", terms.right) for action, terms in topology.actions.items() if terms.has_sides]
    wholes = [(action, "", terms.left + terms.right) for action, terms in topology.actions.items()]
    measures = {action + side: terms for action, side, terms in (*sides, *wholes)}
    twins = mirror_twins(topology, measures)
    X = np.random.default_rng(0).normal(size=(3, topology.count))
    mirrored = X[:, topology.mirror] * [[-1], [1], [1]]
    for expression, terms in measures.items():
        twin = twins[expression]
        shown = sum(weight * mirrored[axis, landmark] for landmark, axis, weight in terms)
        was = sum(weight * X[axis, landmark] for landmark, axis, weight in measures[twin.name])
        assert shown == pytest.approx(-was if twin.is_odd else was, abs=1e-9), expression
        assert twins[twin.name].name == expression
    odd = {expression for expression, twin in twins.items() if twin.is_odd}
    assert odd >= {"jawSide", "mouthSide"} & topology.actions.keys()
    assert mirror_twins(topology, ["eyeBlinkLeft"])["eyeBlinkLeft"].name == "eyeBlinkLeft"  # without the other side


def test_the_canonical_face_looks_ahead(topology):
    """By the convention of the 478 points it is neither turned nor pitched, and so it is of unit size."""
    from effigy.landmarks.photo.pose import _canonical

    mean = _canonical()[0]
    mesh = load_topology("mediapipe468")
    turn = rotation(*np.radians([[12.0], [-7.0], [3.0]]))
    camera = Camera(np.eye(3)[None], np.ones(1), np.zeros((1, 2)))
    shape = ShapeModel(turn[0] @ mean, np.zeros((0, *mean.shape)), np.ones(468))
    found = fix_gauge(shape, camera, mesh, settle_pose=False)[0].mean
    np.testing.assert_allclose(found, mean - mean.mean(axis=1, keepdims=True), atol=1e-3)
