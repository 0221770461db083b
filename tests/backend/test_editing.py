# SPDX-License-Identifier: Apache-2.0
"""Laws of the regressor and its inverse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from backend.editing import METHODS, InverseOptions, Parameters, Regressor, invert
from backend.editing.regressor import Whitening
from backend.editing.training import rotation_matrix
from backend.geometry import Camera

W_DIM, Q = 24, 9


@pytest.fixture(scope="module")
def regressor():
    torch.manual_seed(0)
    w = torch.randn(500, W_DIM, dtype=torch.float64) @ torch.randn(W_DIM, W_DIM, dtype=torch.float64)
    return (
        Regressor(Whitening.of(w), torch.randn(Q), torch.rand(Q) + 0.5, width=32)
        .double()
        .requires_grad_(requires_grad=False)
    )


@pytest.fixture(scope="module")
def anchors(regressor):
    v = torch.randn(5, len(regressor.whitening.basis), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return regressor.whitening.mean + v @ regressor.whitening.basis


def test_the_analytic_jacobian_is_autograds(regressor):
    v = torch.randn(3, len(regressor.whitening.basis), dtype=torch.float64)
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
    """Errors of every parameter alike, in units of ``tolerance``."""
    return torch.eye(Q, dtype=torch.float64) / tolerance


def price(w):
    """An identity term for tests: differentiable, and zero nowhere."""
    return w.square().sum(dim=1)


@pytest.mark.parametrize("method", METHODS)
def test_a_change_of_zero_is_the_identity_bit_for_bit(regressor, anchors, method):
    options = InverseOptions(method)
    zero = torch.zeros(len(anchors), Q).double()
    moved, q = invert(regressor, anchors, zero, per(0.01), options, price)
    assert torch.equal(moved, anchors)
    torch.testing.assert_close(q, regressor.of_latents(anchors))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_comes_nearer_to_what_was_asked(regressor, anchors, method):
    change = 0.2 * torch.randn(len(anchors), Q, generator=torch.Generator().manual_seed(2)).double()
    moved, reached = invert(regressor, anchors, change, per(0.05), InverseOptions(method))
    target = regressor.of_latents(anchors) + change
    assert (reached - target).norm() < 0.35 * change.norm()
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
    torch.testing.assert_close(reached, regressor.of_latents(anchors) + change, atol=2e-3, rtol=0)
    torch.testing.assert_close(reached, regressor.of_latents(moved))


@pytest.mark.parametrize("method", METHODS)
def test_each_row_is_independent_of_the_others(regressor, anchors, method):
    change = 0.3 * torch.randn(len(anchors), Q, generator=torch.Generator().manual_seed(3)).double()
    weigh = per(0.01)
    options = InverseOptions(method)
    together, _ = invert(regressor, anchors, change, weigh, options)
    for row in range(len(anchors)):
        alone, _ = invert(regressor, anchors[row : row + 1], change[row : row + 1], weigh, options)
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=0)


def test_a_stronger_pull_stays_nearer_to_the_identity(regressor, anchors):
    change = torch.ones(len(anchors), Q).double()
    weigh = per(0.5)
    distances = []
    for pull in (0.1, 1.0, 10.0):
        moved, _ = invert(regressor, anchors, change, weigh, InverseOptions(pull=pull))
        distances.append(float(regressor.whitening(moved).sub(regressor.whitening(anchors)).norm()))
    assert distances == sorted(distances, reverse=True)


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
