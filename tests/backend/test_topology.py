# SPDX-License-Identifier: Apache-2.0
"""Landmark sets: their surfaces, symmetry and measures."""

from __future__ import annotations

import numpy as np
import pytest

from effigy.geometry import (
    Camera,
    ShapeModel,
    load_topology,
    rotation,
    surface,
)
from effigy.geometry.expressions import mirror_twins
from effigy.geometry.gauge import fix_gauge


def test_an_unknown_topology_names_the_known_ones():
    with pytest.raises(ValueError, match="ibug68"):
        load_topology("ibug69")


def test_the_proxy_surface_is_closed_under_mirroring(topology):
    triangles = {frozenset(t) for t in topology.triangles.tolist()}
    assert {frozenset(topology.mirror[list(t)].tolist()) for t in triangles} == triangles
    assert {i for t in triangles for i in t} == set(range(68))


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
