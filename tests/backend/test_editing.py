# SPDX-License-Identifier: Apache-2.0
"""Laws of the regressor and its inverse."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from effigy.editing import METHODS, PRESETS, InverseOptions, Parameters, Regressor, invert, train_regressor
from effigy.editing.appearance import PULL, Appearance
from effigy.editing.guide import _RIDGE, Guide, typical_of
from effigy.editing.network import Architecture, Network
from effigy.editing.regressor import Whitening
from effigy.editing.training import nme, rotation_matrix
from effigy.geometry import Camera, ShapeModel, project
from effigy.geometry.expressions import departures

W_DIM, Q, NUM_WS = 24, 9, 6


def make_regressor(rows=1, architecture=Architecture(width=32)):
    torch.manual_seed(0)
    w = torch.randn(500, W_DIM, dtype=torch.float64) @ torch.randn(W_DIM, W_DIM, dtype=torch.float64)
    regressor = Regressor(Whitening.of(w), torch.randn(Q), torch.rand(Q) + 0.5, architecture, rows)
    regressor.double().requires_grad_(requires_grad=False)
    v = torch.randn(2000, len(regressor.typical), dtype=torch.float64)
    regressor.typical.copy_(typical_of(v, regressor(v)))
    return regressor


@pytest.fixture(scope="module", params=[1, NUM_WS], ids=["w", "w+"])
def regressor(request):
    return make_regressor(request.param)


@pytest.fixture(scope="module")
def anchors(regressor):
    """Returns five w+; their rows differ if the regressor reads w+."""
    shape = (5, regressor.rows, len(regressor.whitening.basis))
    v = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ws = regressor.whitening.mean + v @ regressor.whitening.basis
    return ws.expand(-1, NUM_WS, -1).contiguous()


@pytest.fixture(scope="module")
def appearance(regressor):
    """Returns untrained heads, of two patches and a person of five numbers."""
    torch.manual_seed(3)
    inputs = len(regressor.typical)
    head = Network(inputs, 5, Architecture(width=16)).double().requires_grad_(requires_grad=False)
    return Appearance("ab", 3 * torch.randn(6, inputs, dtype=torch.float64), head)


@pytest.mark.parametrize("rows", [1, NUM_WS])
@pytest.mark.parametrize("preset", PRESETS)
def test_the_analytic_jacobian_is_autograds(preset, rows):
    regressor = make_regressor(rows, PRESETS[preset].architecture)
    v = torch.randn(3, rows * len(regressor.whitening.basis), dtype=torch.float64)
    q, J = regressor.jacobian(v)
    torch.testing.assert_close(q, regressor(v))
    for row in range(3):
        expected = torch.autograd.functional.jacobian(lambda x: regressor(x[None])[0], v[row])
        torch.testing.assert_close(J[row], expected)


def test_whitening_gives_unit_covariance_and_undoes_its_basis():
    torch.manual_seed(0)
    w = torch.randn(4000, W_DIM, dtype=torch.float64) * torch.linspace(0.5, 3, W_DIM) + 1
    whitening = Whitening.of(w)
    v = whitening(w)
    torch.testing.assert_close(torch.cov(v.T), torch.eye(W_DIM, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(whitening.mean + v @ whitening.basis, w)


def test_directions_without_variance_are_left_out():
    w = torch.zeros(100, 5, dtype=torch.float64)
    w[:, :2] = torch.randn(100, 2)
    assert Whitening.of(w).basis.shape == (2, 5)


def per(tolerance):
    """Weighs errors of every parameter alike, in units of ``tolerance``."""
    return torch.eye(Q, dtype=torch.float64) / tolerance


def price(w):
    """An identity term for tests: differentiable, and nowhere zero."""
    return w.square().mean(dim=1).sum(dim=1)


@pytest.mark.parametrize("layers", [None, 2])
@pytest.mark.parametrize("method", METHODS)
def test_a_change_of_zero_is_the_identity_bit_for_bit(regressor, anchors, appearance, method, layers):
    options = InverseOptions(method, layers=layers)
    zero = torch.zeros(len(anchors), Q).double()
    moved, q = invert(regressor, anchors, zero, per(0.01), options, price, appearance)
    assert torch.equal(moved, anchors)
    assert torch.equal(q, zero)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_comes_nearer_to_what_was_asked(regressor, anchors, method):
    change = 0.2 * torch.randn(len(anchors), Q, generator=torch.Generator().manual_seed(2)).double()
    moved, reached = invert(regressor, anchors, change, per(0.05), InverseOptions(method))
    assert (reached - change).norm() < 0.35 * change.norm()
    assert not torch.equal(moved, anchors)


@pytest.mark.parametrize("method", ["alternating", "gradient"])
def test_an_identity_term_lowers_its_price(regressor, anchors, method):
    change = 0.2 * torch.ones(len(anchors), Q).double()
    weigh = per(0.3)
    free, _ = invert(regressor, anchors, change, weigh, InverseOptions(method))
    priced, _ = invert(regressor, anchors, change, weigh, InverseOptions(method, identity_weight=0.05), price)
    assert price(priced).sum() < price(free).sum()


def test_the_inverse_reaches_what_was_asked(regressor, anchors):
    change = 0.3 * torch.randn(len(anchors), Q, generator=torch.Generator().manual_seed(2)).double()
    moved, reached = invert(regressor, anchors, change, per(1e-3))
    torch.testing.assert_close(reached, change, atol=2e-3, rtol=0)
    torch.testing.assert_close(regressor.of_latents(anchors) + reached, regressor.of_latents(moved))


@pytest.mark.parametrize("method", METHODS)
def test_each_row_is_independent_of_the_others(regressor, anchors, appearance, method):
    change = 0.3 * torch.randn(len(anchors), Q, generator=torch.Generator().manual_seed(3)).double()
    weigh = per(0.01)
    options = InverseOptions(method)
    together, _ = invert(regressor, anchors, change, weigh, options, appearance=appearance)
    for row in range(len(anchors)):
        alone, _ = invert(
            regressor, anchors[row : row + 1], change[row : row + 1], weigh, options, appearance=appearance
        )
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=0)


def test_a_stronger_pull_stays_nearer_to_the_identity(regressor, anchors):
    change = torch.ones(len(anchors), Q).double()
    weigh = per(0.5)
    distances = []
    for pull in (0.1, 1.0, 10.0):
        moved, _ = invert(regressor, anchors, change, weigh, InverseOptions(pull=pull))
        distances.append(float(regressor.read(moved).sub(regressor.read(anchors)).norm()))
    assert distances == sorted(distances, reverse=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_mask_moves_the_coarse_rows_alone(regressor, anchors, method):
    change = 0.2 * torch.ones(len(anchors), Q).double()
    moved, reached = invert(regressor, anchors, change, per(0.01), InverseOptions(method, layers=2))
    assert torch.equal(moved[:, 2:], anchors[:, 2:])
    assert not (moved[:, :2] == anchors[:, :2]).all(dim=2).any()
    assert (reached - change).norm() < 0.5 * change.norm()


def test_what_is_typical_is_the_best_linear_prediction():
    torch.manual_seed(0)
    v = torch.randn(5000, 12, dtype=torch.float64) @ torch.randn(12, 12, dtype=torch.float64) + 3
    q = torch.tanh(v @ torch.randn(12, 5, dtype=torch.float64)) * torch.tensor([1e-4, 0.1, 1, 10, 1e4])
    q[:, 1] = 2.5  # a parameter that never varies carries no information
    typical = typical_of(v, q)
    assert typical[:, 1].abs().max() < 0.01
    missed = v - v.mean(dim=0) - (q - q.mean(dim=0)) @ typical.T
    related = torch.corrcoef(torch.cat([missed, q[:, [0, 2, 3, 4]]], dim=1).T)[:12, 12:]
    torch.testing.assert_close(related, torch.zeros_like(related), atol=1e-6, rtol=0)


def test_what_is_typical_of_people_who_move_leaves_what_they_keep():
    """Here people with narrow eyes (v₁) seem to close them (v₀), as q reads both."""
    torch.manual_seed(0)
    people = np.repeat(np.arange(2000), 4)
    v = torch.randn(len(people), 3, dtype=torch.float64)
    v[:, 1:] = v[::4, 1:].repeat_interleave(4, dim=0)
    q = torch.stack([v[:, 0] + 0.5 * v[:, 1], v[:, 2]], dim=1)
    assert typical_of(v, q)[1, 0] > 0.3
    within = typical_of(v, q, people)
    torch.testing.assert_close(within[:, 0], torch.tensor([1.0, 0.0, 0.0]).double(), atol=0.05, rtol=0)
    torch.testing.assert_close(within[:, 1], torch.zeros(3).double(), atol=0.05, rtol=0)
    axes = Guide.of(within, q.std(dim=0), stretch=4.0).axes
    torch.testing.assert_close(axes.abs(), torch.eye(3)[:, :1].double(), atol=1e-6, rtol=0)


def test_what_is_typical_within_people_weighs_them_as_their_departures_do():
    rng = np.random.default_rng(0)
    people = rng.integers(0, 90, 300)  # of one picture each and of several
    v, q = rng.standard_normal((300, 7)) + people[:, None], rng.standard_normal((300, 4)) - 0.1 * people[:, None]
    moves_v, moves_q = departures(v, people), departures(q, people)
    v, q = v - v.mean(axis=0), q - q.mean(axis=0)
    wanted = np.linalg.solve(moves_q.T @ moves_q + _RIDGE * q.T @ q, moves_q.T @ moves_v).T
    found = typical_of(torch.from_numpy(v), torch.from_numpy(q), people)
    torch.testing.assert_close(found, torch.from_numpy(wanted))


def test_only_what_no_parameter_explains_is_scaled_down(regressor):
    guide = Guide.of(regressor.typical, regressor.q_scale, stretch=4.0)
    step = torch.randn(3, len(guide.typical), dtype=torch.float64)
    along = step @ guide.axes @ guide.axes.T
    torch.testing.assert_close(guide.scale(along), along)
    torch.testing.assert_close(guide.scale(step - along), (step - along) / 4)
    torch.testing.assert_close(Guide.of(regressor.typical, regressor.q_scale, stretch=1.0).scale(step), step)


def test_a_regressor_that_was_not_trained_has_no_guide():
    regressor = Regressor(Whitening.none(4), torch.zeros(3), torch.ones(3))
    guide = Guide.of(regressor.typical, regressor.q_scale, stretch=4.0)
    assert guide.axes.shape == (4, 0)
    torch.testing.assert_close(guide.scale(torch.ones(2, 4)), torch.full((2, 4), 0.25))


def test_colours_held_by_the_guide_are_held_as_rows_of_the_system_would(regressor, anchors, appearance):
    """For a linear φ the inverse is the minimum of a quadratic, solved here directly with the colours as rows."""
    linear = copy.deepcopy(regressor)
    linear.last.weight.zero_()
    colours = Appearance(appearance.patches, appearance.colours, None)
    options, weigh = InverseOptions(trust=1e6, pull=1.5, stretch=3.0), per(0.5)
    change = torch.zeros(len(anchors), Q, dtype=torch.float64)
    change[:, 7] = 0.2
    moved, reached = invert(linear, anchors, change, weigh, options, appearance=colours)
    plain = Guide.of(linear.typical, linear.q_scale, options.stretch)
    scale = plain.scale(torch.eye(len(plain.typical), dtype=torch.float64))
    lead = change @ plain.typical.T
    _, J = linear.jacobian(linear.read(anchors[:1]))
    rows = torch.cat([weigh @ J[0], colours.held]) @ scale
    wanted = torch.cat([(change - lead @ J[0].T) @ weigh.T, -lead @ colours.held.T], dim=1)
    pull = PULL * options.pull / linear.rows * torch.eye(len(scale), dtype=torch.float64)
    paid = torch.linalg.solve(rows.T @ rows + pull, rows.T @ wanted.T).T
    torch.testing.assert_close(linear.read(moved) - linear.read(anchors), lead + paid @ scale)
    torch.testing.assert_close(reached, (lead + paid @ scale) @ J[0].T)


def test_what_is_held_changes_less_and_what_was_asked_is_still_reached(regressor, anchors, appearance):
    change = torch.zeros(len(anchors), Q, dtype=torch.float64)
    change[:, 7] = 0.5
    weigh = per(0.5)
    weigh[7] *= 50
    colours = Appearance(appearance.patches, appearance.colours, None)
    v, drifts = regressor.read(anchors), []
    for heads in (None, colours, appearance):
        moved, reached = invert(regressor, anchors, change, weigh, appearance=heads)
        assert (reached - change)[:, 7].norm() < 0.1 * change.norm()
        step = regressor.read(moved) - v
        drifts.append(
            [float((step @ colours.held.T).norm()), float((appearance.person(v + step) - appearance.person(v)).norm())]
        )
    (free, free_person), (held, held_person), (both, both_person) = drifts
    assert max(held, both) < 0.5 * free
    assert both_person < 0.8 * min(free_person, held_person)


@pytest.mark.parametrize("turned", [0.3, -0.3])
def test_a_turn_alone_is_held_too(regressor, anchors, appearance, turned):
    change = torch.zeros(len(anchors), Q, dtype=torch.float64)
    change[:, 1] = turned
    v = regressor.read(anchors)
    drift = []
    for heads in (None, appearance):
        moved, _ = invert(regressor, anchors, change, per(0.05), appearance=heads)
        drift.append(float(((regressor.read(moved) - v) @ appearance.held.T).norm()))
    assert drift[1] < drift[0]


@pytest.mark.parametrize("layers", [1, 3, NUM_WS])
def test_under_a_mask_the_layers_that_move_still_reach_what_was_asked(regressor, anchors, layers):
    change = torch.zeros(len(anchors), Q, dtype=torch.float64)
    change[:, 7] = 0.1
    _, reached = invert(regressor, anchors, change, per(0.002), InverseOptions(steps=20, layers=layers))
    torch.testing.assert_close(reached, change, atol=0.02, rtol=0)


def test_a_regressor_of_w_reads_the_mean_of_differing_rows():
    regressor = make_regressor()
    ws = torch.randn(3, NUM_WS, W_DIM, dtype=torch.float64)
    mean = ws.mean(dim=1, keepdim=True)
    torch.testing.assert_close(regressor.of_latents(ws), regressor.of_latents(mean))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("rows", [1, 3])
def test_training_learns_what_latents_say_of_pose_and_shape(preset, rows):
    """With a linear relation, every preset has less held-out error than predicting the mean, on w and on w+."""
    random = np.random.default_rng(0)
    model = ShapeModel(random.normal(size=(3, 12)), 0.3 * random.normal(size=(2, 3, 12)), np.ones(12))
    ws = random.normal(size=(600, rows, 8))
    hidden = np.tanh(ws.mean(axis=1) * np.sqrt(rows) @ random.normal(size=(8, 5)) / 4)
    R = Rotation.from_rotvec(0.5 * hidden[:, :3]).as_matrix()
    views = Parameters(Camera(R, np.full(600, 0.2), np.full((600, 2), 0.5)), hidden[:, 3:])
    W = project(model.shape(views.alpha), views.camera)
    training = replace(PRESETS[preset], steps=400, rate=2e-3)
    regressor, error = train_regressor(ws, W, views, model, 100, training)
    guess = torch.from_numpy(views.to_vector().mean(axis=0)).float().expand(100, -1)
    shape = (torch.from_numpy(model.mean).float(), torch.from_numpy(model.basis).float())
    assert error < 0.5 * 100 * float(nme(guess, torch.from_numpy(W[500:]).float(), *shape))
    assert regressor.rows == rows


def test_parameters_come_back_from_their_vector():
    random = np.random.default_rng(0)
    R = Rotation.random(6, random_state=0).as_matrix()
    given = Parameters(Camera(R, random.uniform(0.1, 1, 6), random.normal(size=(6, 2))), random.normal(size=(6, 4)))
    back = Parameters.from_vector(given.to_vector())
    np.testing.assert_allclose(back.camera.R, R, atol=1e-12)
    np.testing.assert_allclose(back.camera.s, given.camera.s)
    np.testing.assert_array_equal(back.camera.t, given.camera.t)
    np.testing.assert_array_equal(back.alpha, given.alpha)


def test_torch_and_scipy_mean_the_same_rotation_vector():
    v = np.random.default_rng(0).normal(size=(8, 3))
    v[0] = 0
    np.testing.assert_allclose(rotation_matrix(torch.from_numpy(v)), Rotation.from_rotvec(v).as_matrix(), atol=1e-6)
