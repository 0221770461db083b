# SPDX-License-Identifier: Apache-2.0
"""The joint EM fit of a probabilistic PCA shape model seen through weak-perspective cameras.

Torresani, Hertzmann, Bregler, *Nonrigid Structure-from-Motion: Estimating Shape and Motion with Hierarchical
Priors*, PAMI 2008, without its temporal part. Each sweep moves every view's pose and coefficients together
by one Gauss–Newton step, then solves mean and basis in closed form. Cost is linear in the number of views.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .camera import Array, Camera, project
from .gauge import remove_rigid_motions
from .shape import ShapeModel, Views, expected_step, robust_weights

_RIDGE = 1e-6  # of the normal matrix's trace: keeps an unseen landmark's equations solvable


def expectation_maximisation(
    W: Array,
    weights: Array,
    mean: Array,
    camera: Camera,
    basis: int,
    sweeps: int,
    *,
    robust: bool,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ShapeModel, Views]:
    """Fits ``basis`` deformations to W [N, 2, L] with ``weights`` [N, L], starting from a rigid shape and cameras.

    ``robust`` multiplies each point's weight with a Student-t weight, against gross outliers.
    """
    views = Views(W, weights, camera, np.zeros((len(W), basis)))
    model = _first_basis(views, mean, basis)
    for sweep in range(sweeps):
        views, covariance = expected_step(model, views)
        model = _maximise(model, views, covariance)
        if robust:
            views = views.reweighted(weights * robust_weights(model, views))
        if progress:
            progress(sweep + 1, sweeps)
    return model, views


def _first_basis(views: Views, mean: Array, K: int) -> ShapeModel:
    """Returns a first basis: principal components of the residuals, lifted to 3D with the least norm."""
    camera, L = views.camera, mean.shape[1]
    residual = (views.W - project(mean, camera)) * (views.weights[:, None] > 0)
    residual[:, 1] *= -1
    lifted = camera.R[:, :2].transpose(0, 2, 1) @ residual / camera.s[:, None, None]
    flat = remove_rigid_motions(lifted, mean, np.ones(L)).reshape(len(lifted), -1)
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    scale = np.sqrt(np.maximum(values[::-1][:K], 1e-12))
    basis = (vectors[:, ::-1][:, :K] * scale).T.reshape(K, 3, L)
    noise = (views.weights * residual.transpose(1, 0, 2) ** 2).sum((0, 1)) / (2 * views.weights.sum(0) + 1e-12)
    return ShapeModel(mean, basis, np.maximum(noise, 1e-10))


def _maximise(model: ShapeModel, views: Views, covariance: Array) -> ShapeModel:
    """Takes the M-step in closed form: mean, basis and noise that best explain the views; covariance is [N, K, K]."""
    camera, L = views.camera, model.mean.shape[1]
    N, K = views.alpha.shape
    z = np.concatenate([np.ones((N, 1)), views.alpha], axis=1)
    second = z[:, :, None] * z[:, None]
    second[:, 1:, 1:] += covariance
    A = camera.s[:, None, None] * camera.R[:, :2]
    target = views.centred()
    # Per landmark l: Σ_n ω_nl (AᵀA ⊗ E[z zᵀ]) vec M_l = Σ_n ω_nl Aᵀ w_nl ⊗ z, all landmarks in one product.
    rows, cols = np.triu_indices(K + 1)
    packed = second[:, rows, cols]
    normal = np.empty((L, 3, K + 1, 3, K + 1))
    AtA = A.transpose(0, 2, 1) @ A
    for i in range(3):
        for j in range(i, 3):
            block = views.weights.T @ (AtA[:, i, j, None] * packed)
            full = np.empty((L, K + 1, K + 1))
            full[:, rows, cols] = block
            full[:, cols, rows] = block
            normal[:, i, :, j, :] = full
            normal[:, j, :, i, :] = full
    pulled = A.transpose(0, 2, 1) @ (views.weights[:, None] * target)  # [N, 3, L]
    right = (pulled.transpose(2, 1, 0) @ z).reshape(L, -1)
    matrix = normal.reshape(L, 3 * (K + 1), 3 * (K + 1))
    ridge = _RIDGE * np.trace(matrix, axis1=1, axis2=2)[:, None, None] / matrix.shape[1]
    solved = np.linalg.solve(matrix + ridge * np.eye(matrix.shape[1]), right[:, :, None])
    M = solved.reshape(L, 3, K + 1).transpose(2, 1, 0)  # [K + 1, 3, L]
    mean, basis = _whiten(M[0], M[1:], views.alpha, covariance)
    basis = remove_rigid_motions(basis, mean, np.ones(L))
    return ShapeModel(mean, basis, _noise(M, views, covariance, A, target))


def _whiten(mean: Array, basis: Array, alpha: Array, covariance: Array) -> tuple[Array, Array]:
    """Returns the same shapes with coefficients of zero mean and unit covariance, as the prior z ~ N(0, I) demands."""
    centre = alpha.mean(axis=0)
    spread = np.cov(alpha.T, bias=True).reshape(len(centre), -1) + covariance.mean(axis=0)
    L = np.linalg.cholesky(spread + 1e-9 * np.eye(len(spread)))
    return mean + np.tensordot(centre, basis, 1), np.tensordot(L.T, basis, 1)


def _noise(M: Array, views: Views, covariance: Array, A: Array, target: Array) -> Array:
    """Returns the noise's variance for each landmark: squared residual plus what the coefficients leave uncertain."""
    K, L = len(M) - 1, M.shape[2]
    X = M[0] + (views.alpha @ M[1:].reshape(K, -1)).reshape(-1, 3, L)
    squared = ((target - A @ X) ** 2).sum(axis=1)
    # Σ_n ω A M Σ_n Mᵀ Aᵀ with the covariance averaged over views: it varies little between them.
    average = covariance.mean(axis=0)
    inner = np.einsum("kil,km,mjl->lij", M[1:], average, M[1:], optimize=True)
    AtA = (A.transpose(0, 2, 1) @ A).mean(axis=0)
    uncertain = np.einsum("lij,ij->l", inner, AtA)
    total = views.weights.sum(axis=0) + 1e-12
    return np.maximum(((views.weights * squared).sum(axis=0) / total + uncertain) / 2, 1e-10)
