# SPDX-License-Identifier: Apache-2.0
"""Named expressions found in landmarks: controls that move their own measure and no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kurtosis

from effigy.geometry.expressions import departures, name_expressions


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
