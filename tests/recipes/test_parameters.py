# SPDX-License-Identifier: Apache-2.0
"""What the demo face's parameters and latents mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recipes.demo_face import latents
from recipes.demo_face.dataset import pair_vectors, people_vectors
from recipes.demo_face.figures import moved
from recipes.demo_face.parameters import COUNT, EXPRESSION, PARAMETERS, PERSONAL, column, decode, sample


def test_parameters_are_documented_and_reach_what_they_say():
    assert sum(p.size for p in PARAMETERS) == COUNT == 43
    ends = moved(moved(np.zeros((1, COUNT)), "yaw", 3), "pitch", -3)[0]
    assert np.degrees(decode(ends).yaw) == pytest.approx(45, abs=1)
    assert np.degrees(decode(ends).pitch) == pytest.approx(-25, abs=1)


def test_every_draw_is_within_bounds():
    for vector in np.concatenate([sample(200, 0), 8 * sample(50, 1)]):
        scene = decode(vector)
        weights = np.array(list(scene.expression.values()))
        assert weights.min() > -0.05  # lids that are shut tight unwiden a little
        assert weights.max() <= 1.15
        for colour in (scene.skin, scene.lips, scene.iris, scene.hair.colour, scene.background, scene.clothes):
            assert np.isfinite(colour).all()
            assert 0 <= colour.min() <= colour.max() <= 1


def test_decoding_is_smooth():
    """A thousandth of a step changes nothing by more than a few thousandths: no jumps to learn."""
    for vector in sample(20, 2):
        for index in range(COUNT):
            nudged = vector.copy()
            nudged[index] += 1e-3
            a, b = decode(vector), decode(nudged)
            assert max(abs(a.expression[name] - b.expression[name]) for name in a.expression) < 5e-3
            assert abs(a.hair.length - b.hair.length) < 3e-2


def test_a_wink_closes_one_eye_and_opens_the_other():
    left, right = (decode(moved(np.zeros((1, COUNT)), "wink", value)[0]).expression for value in (2.0, -2.0))
    assert left["eyeBlink_L"] > 0.85 > 0.05 > left["eyeBlink_R"]
    assert right["eyeBlink_R"] == left["eyeBlink_L"]


def test_a_person_stays_the_same():
    vectors = people_vectors(3, 4, seed=0).reshape(3, 4, COUNT)
    assert np.ptp(vectors[:, :, PERSONAL], axis=1).max() == 0
    assert np.ptp(vectors[:, :, column("yaw")], axis=1).min() > 0
    assert len(np.unique(vectors[:, 0, column("identity.0")])) == 3


def test_a_pair_differs_in_half_of_what_a_face_does():
    first, second = pair_vectors(400, 3).reshape(400, 2, COUNT).transpose(1, 0, 2)
    assert np.array_equal(first, sample(400, 3))
    changed = first != second
    assert not np.delete(changed, EXPRESSION, axis=1).any()
    assert changed[:, EXPRESSION].mean(axis=0) == pytest.approx(np.full(len(EXPRESSION), 0.5), abs=0.12)
    assert second.std(axis=0) == pytest.approx(np.ones(COUNT), abs=0.15)


def test_latents_mean_the_parameters_they_were_made_for():
    p = torch.randn(64, COUNT)
    z = latents.latents_of(p)
    torch.testing.assert_close(latents.parameters_of(z), p, atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.parameters_of(3 * z), p, atol=1e-4, rtol=0)  # the mapping normalises
    assert z.norm(dim=1) == pytest.approx(torch.full((64,), 512**0.5), abs=1e-3)


def test_the_flow_is_undone_and_keeps_lengths():
    p = 2 * torch.randn(64, COUNT)
    torch.testing.assert_close(latents.entangle(latents.disentangle(p)), p, atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.entangle(p).norm(dim=1), p.norm(dim=1))


def test_what_a_direction_of_latents_does_depends_on_where_it_starts():
    a, b, step = torch.randn(64, COUNT), torch.randn(64, COUNT), torch.zeros(COUNT)
    step[column("yaw")] = 0.5
    at_a, at_b = (latents.entangle(x + step) - latents.entangle(x) for x in (a, b))
    assert (at_a - at_b).norm(dim=1).median() > 0.1


def test_directions_are_orthonormal():
    A = latents.directions()
    torch.testing.assert_close(A @ A.T, torch.eye(COUNT), atol=1e-5, rtol=0)
