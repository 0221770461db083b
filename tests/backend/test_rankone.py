# SPDX-License-Identifier: Apache-2.0
"""The paper's rank-one basis: our vectorised version equals the plain loops, including the paper's weakness."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from effigy.geometry import FitOptions, GeometryError, fit, load_topology
from effigy.geometry.camera import nearest_rotation
from effigy.geometry.rankone import CALIBRATIONS, alternate, complete, factor_cameras, paper_fit

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def clean():
    return dict(np.load(FIXTURES / "faces_clean.npz"))


@pytest.fixture(scope="module")
def topology():
    return load_topology("ibug68")


def straightforward(M, rest, rows, sweeps):
    """Runs the published alternation as loops over views and shapes; returns its objective after each half sweep.

    ``M`` [2N, 3] cameras, ``rest`` [2N, L] the residual that ``rows`` [K, L] span.
    """
    N, K = len(M) // 2, len(rows)
    views = [slice(2 * i, 2 * i + 2) for i in range(N)]
    D, alpha, objective = np.ones((K, 3)) / np.sqrt(3), np.zeros((N, K)), []

    def shown(i, k):
        return M[views[i]] @ np.outer(D[k], rows[k])

    def error():
        explained = [sum(alpha[i, k] * shown(i, k) for k in range(K)) for i in range(N)]
        return np.linalg.norm(rest - np.concatenate(explained))

    for _ in range(sweeps):
        for i, k in itertools.product(range(N), range(K)):
            alpha[i, k] = np.sum(rest[views[i]] * shown(i, k)) / np.sum(shown(i, k) ** 2)
        objective.append(error())
        for k in range(K):
            stacked = np.concatenate([alpha[i, k] * M[views[i]] for i in range(N)])
            D[k] = np.linalg.pinv(stacked) @ rest @ rows[k]
            D[k] /= np.linalg.norm(D[k])
        objective.append(error())
    return objective


@pytest.fixture(scope="module")
def published(clean):
    """Computes the published factors of 60 views by SVD: centred points, cameras, residual, its first four rows."""
    W = clean["W"][:60].astype(float)
    W -= W.mean(axis=2, keepdims=True)
    flat = W.reshape(120, 68)
    U, S, Vt = np.linalg.svd(flat, full_matrices=False)
    M, B0 = U[:, :3] * S[:3], Vt[:3]
    U, S, Vt = np.linalg.svd(flat - M @ B0, full_matrices=False)
    return W, M, (U[:, :4] * S[:4]) @ Vt[:4], Vt[:4]


def test_the_vectorised_alternation_is_the_straightforward_loop(published):
    _, M, rest, rows = published
    _, _, objective = alternate(M.reshape(60, 2, 3), (rest @ rows.T).reshape(60, 2, 4), 3)
    np.testing.assert_allclose(objective, straightforward(M, rest, rows, 3), rtol=1e-9)


def test_the_whole_fit_has_the_published_objective(published):
    W, M, rest, rows = published
    found = paper_fit(W, 4, 20, "none")
    assert found.objective[-1] == pytest.approx(straightforward(M, rest, rows, 20)[-1], rel=1e-4)


def test_cameras_factor_into_calibration_and_rotation():
    cameras = np.random.default_rng(0).normal(size=(10, 2, 3))
    k, R = factor_cameras(cameras)
    np.testing.assert_allclose(k @ R, cameras, atol=1e-12)
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.eye(2)[None].repeat(10, 0), atol=1e-12)
    np.testing.assert_allclose(k[:, 1, 0], 0, atol=1e-12)
    assert (np.diagonal(k, axis1=1, axis2=2) > 0).all()
    np.testing.assert_allclose(np.linalg.det(complete(R)), 1)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_every_calibration_keeps_the_picture(clean, topology, calibration):
    options = FitOptions(basis=6, sweeps=4, mode="rankone-paper", calibration=calibration)
    found = fit(clean["W"][:200], topology, options)
    plain = fit(clean["W"][:200], topology, FitOptions(6, 4, mode="rankone-paper", calibration="none"))
    np.testing.assert_allclose(found.reprojection, plain.reprojection, atol=1e-6)
    assert found.diagnostics["objective"] == plain.diagnostics["objective"]


def test_the_papers_calibration_reads_yaw_a_third_too_small_and_metric_cameras_do_not(clean, topology):
    from effigy.geometry import angles

    slopes = {}
    for mode in ("rankone-paper", "rankone"):
        found = fit(clean["W"], topology, FitOptions(12, 10, mode=mode))
        R = nearest_rotation(found.camera.R.mean(axis=0)).T @ found.camera.R  # the mean view looks straight
        slopes[mode] = abs(np.polyfit(clean["yaw"], np.degrees(angles(R)[0]), 1)[0])
    assert slopes["rankone-paper"] == pytest.approx(0.66, abs=0.06)
    assert slopes["rankone"] == pytest.approx(1.0, abs=0.04)


def test_rankone_basis_shapes_are_outer_products(clean, topology):
    found = fit(clean["W"], topology, FitOptions(8, 5, mode="rankone"))
    for shape in found.model.basis:
        singular = np.linalg.svd(shape, compute_uv=False)
        assert singular[1] < 1e-9 * singular[0]


def test_missing_points_and_unknown_names_are_refused(clean, topology):
    weights = np.ones((200, 68))
    weights[3, 5] = 0
    with pytest.raises(GeometryError, match="missing points"):
        fit(clean["W"][:200], topology, FitOptions(4, mode="rankone-paper"), weights)
    with pytest.raises(GeometryError, match="unknown mode 'magic'"):
        fit(clean["W"][:200], topology, FitOptions(4, mode="magic"))
    with pytest.raises(GeometryError, match="unknown calibration 'magic'"):
        fit(clean["W"][:200], topology, FitOptions(4, calibration="magic"))
