# SPDX-License-Identifier: Apache-2.0
"""Points that show less of a nod than there is, straightened for fits, which compute cameras from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from effigy.fitting.evaluation import seen
from effigy.geometry import angles, load_topology, rotation
from effigy.geometry.shape import rigid_pose
from effigy.landmarks.photo import PhotoDetector
from effigy.landmarks.photo import straightening as module
from effigy.landmarks.photo.pose import average
from effigy.landmarks.photo.straightening import MONOMIALS, Straightening, monomials, settle, straightening

FACE = np.concatenate([average(), average()[:, :10]], axis=1)  # where irises are does not matter
LIPS = [0, 13, 14, 17, 61, 291]
TURNS = np.radians([[0.0, 0.0, 0.0], [20.0, 0.0, 0.0], [0.0, -12.0, 3.0], [-25.0, 9.0, -4.0]])  # yaw, pitch, roll


def points_of(turn: np.ndarray, face: np.ndarray = FACE) -> np.ndarray:
    """A face that is turned, [478, 3] in pixels."""
    return (60 * rotation(*turn[:, None])[0] @ face).T * [1, -1, -1] + [300, 200, 10]


def reading(yaw: float = 1.0, pitch: float = 1.0, bend: np.ndarray | None = None) -> Straightening:
    """One of a network whose points show 1 / ``yaw`` and 1 / ``pitch`` of a turn, whatever the mesh."""
    turn = np.zeros((MONOMIALS + FACE.size, 2))
    turn[1, 0], turn[2, 1] = yaw, pitch
    return Straightening(turn, np.zeros((MONOMIALS, FACE.size)) if bend is None else bend)


@pytest.mark.parametrize("turn", TURNS)
def test_points_of_a_network_that_is_right_stay_where_they_are(turn):
    points = points_of(turn)
    np.testing.assert_allclose(reading().straightened(points), points[:, :2], atol=1e-6)


@pytest.mark.parametrize("turn", TURNS)
def test_points_show_the_turn_that_is_read(turn):
    straight = reading(yaw=1.1, pitch=1.4).straightened(points_of(turn))
    wanted = points_of(turn * [1.1, 1.4, 1.0])[:, :2]
    moved = wanted - wanted.mean(axis=0) + points_of(turn)[:, :2].mean(axis=0)  # the face's middle stays
    np.testing.assert_allclose(straight, moved, atol=1e-6)


@pytest.mark.parametrize("turn", TURNS)
def test_what_a_mesh_bends_by_at_a_turn_is_taken_out(turn):
    """Here the lips bend, by which no mesh is turned to look ahead."""
    bend = np.zeros((MONOMIALS, *FACE.shape))
    bend[:, :, LIPS] = np.random.default_rng(0).normal(0, 0.1, (MONOMIALS, 3, len(LIPS)))
    yaw, pitch, _ = turn
    bent = FACE + np.tensordot(monomials(yaw, pitch), bend, 1)
    straight = reading(bend=bend.reshape(MONOMIALS, -1)).straightened(points_of(turn, bent))
    apart = straight - points_of(turn)[:, :2]
    np.testing.assert_allclose(apart, np.broadcast_to(apart.mean(axis=0), apart.shape), atol=1e-6)


def test_a_mesh_that_leans_is_settled_upright():
    """What it would show of a nod by itself is not added to the turn that is read."""
    leaning = rotation(*np.radians([[2.0], [5.0], [-3.0]]))[0] @ FACE
    np.testing.assert_allclose(settle(leaning), FACE, atol=1e-3)


def test_size_place_and_roll_of_a_face_do_not_matter(reader, photo):
    (face,) = reader.read(photo)
    straight = straightening().straightened(face.points)
    c, s = np.cos(0.4), np.sin(0.4)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    moved = straightening().straightened(2.5 * face.points @ R.T + [70, -20, 5])
    np.testing.assert_allclose(moved, 2.5 * straight @ R[:2, :2].T + [70, -20], atol=1e-6)


def test_a_mirror_image_is_straightened_to_the_mirror_image(reader, photo):
    (face,) = reader.read(photo)
    mirror = load_topology("mediapipe478").mirror
    straight = straightening().straightened(face.points)
    other = straightening().straightened(face.points[mirror] * [-1, 1, 1])
    assert np.abs(other[mirror] * [-1, 1] - straight).max() < 0.02 * face.size


def test_a_nod_is_as_large_in_the_picture_as_it_was_asked(default_model):
    """Of the network's own points it is three quarters."""
    asked = np.array([(0.0, -12.0), (0.0, 12.0), (-20.0, 0.0), (20.0, 0.0)] * 2)
    people = [default_model.open_seed(seed) for seed in (3, 3, 3, 3, 4, 4, 4, 4)]
    ws = [default_model.edit(person, *turn, {}).ws for person, turn in zip(people, asked, strict=True)]
    faces = PhotoDetector("cpu").faces(seen(default_model, torch.stack(ws)))
    found = np.stack([face.points[:, :2].T for face in faces])
    straight = np.stack([straightening().straightened(face.points).T for face in faces])
    assert np.abs(shown(straight, asked) - 1).max() < 0.1
    assert shown(found, asked)[1] < 0.85


def shown(W: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The shares of yaw and of pitch that cameras of points W [N, 2, 478] show of the turns ``asked`` [N, 2].

    The face is the one that shows the points best with the cameras asked.
    """
    R = rotation(*np.radians([*asked.T, np.zeros(len(asked))]))[:, :2].reshape(-1, 3)
    centred = (W - W.mean(axis=2, keepdims=True)) * [[1], [-1]]
    face = np.linalg.lstsq(R, centred.reshape(-1, 478), rcond=None)[0]
    turns = np.degrees(angles(rigid_pose(face, W, np.ones((len(W), 478))).R))[:2].T
    return (turns * asked).sum(axis=0) / (asked**2).sum(axis=0)


def test_the_points_that_settle_a_mesh_are_those_that_the_topology_calls_rigid():
    assert list(load_topology("mediapipe478").rigid) == module._RIGID
