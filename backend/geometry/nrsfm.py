# SPDX-License-Identifier: Apache-2.0
"""Non-rigid structure from motion: landmarks of many views → cameras, mean shape and deformation basis.

A joint EM fit of a probabilistic PCA shape model seen through weak-perspective cameras: Torresani,
Hertzmann, Bregler, *Nonrigid Structure-from-Motion: Estimating Shape and Motion with Hierarchical Priors*,
PAMI 2008, without its temporal part. Each sweep moves every view's pose and coefficients together by one
Gauss–Newton step, then solves mean and basis in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .camera import Array, Camera, project
from .factorize import GeometryError, rigid_start
from .gauge import fix_gauge, remove_rigid_motions
from .shape import ShapeModel, Views, expected_step, robust_weights
from .topology import Topology

__all__ = ["FitOptions", "FitResult", "GeometryError", "fit"]

_RIDGE = 1e-6  # of the normal matrix's trace: keeps an unseen landmark's equations solvable


@dataclass(frozen=True, slots=True)
class FitOptions:
    """``basis`` deformations K, EM ``sweeps``, and whether outliers are expected (``robust``: Student-t)."""

    basis: int = 24
    sweeps: int = 50
    robust: bool = False


@dataclass(frozen=True, slots=True)
class FitResult:
    """A shape model and what it says of each view: cameras, coefficients [N, K], picture points [N, 2, L]."""

    model: ShapeModel
    camera: Camera
    alpha: Array
    reprojection: Array


def fit(
    W: Array,
    topology: Topology,
    options: FitOptions = FitOptions(),
    weights: Array | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FitResult:
    """Fits a shape model to picture points ``W`` [N, 2, L] in [0, 1] (x right, y down).

    ``weights`` [N, L] ≥ 0 says how far each point is to be trusted; 0 is a missing point. The result is in
    the gauge of the architecture page: the mean face is frontal, symmetric about x = 0 and of unit size.
    Raises GeometryError when the views cannot determine a shape.
    """
    W, weights = _check(W, weights, topology, options)
    mean, camera = rigid_start(W, weights)
    views = Views(W, weights, camera, np.zeros((len(W), options.basis)))
    model = _first_basis(views, mean, options.basis)
    for sweep in range(options.sweeps):
        views, moments = expected_step(model, views)
        model = _maximise(model, views, moments)
        if options.robust:
            views = views.reweighted(weights * robust_weights(model, views))
        if progress:
            progress(sweep + 1, options.sweeps)
    model, camera = fix_gauge(model, views.camera, topology)
    views = Views(W, views.weights, camera, views.alpha)
    for _ in range(3):
        views, _ = expected_step(model, views)
    return FitResult(model, views.camera, views.alpha, project(model.shape(views.alpha), views.camera))


def _check(W: Array, weights: Array | None, topology: Topology, options: FitOptions) -> tuple[Array, Array]:
    W = np.asarray(W, dtype=np.float64)
    if W.ndim != 3 or W.shape[1:] != (2, topology.count):
        raise GeometryError(f"landmarks must be [N, 2, {topology.count}] for {topology.name}, not {list(W.shape)}")
    weights = np.ones(W.shape[::2]) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape != W.shape[::2]:
        raise GeometryError(f"weights must be {list(W.shape[::2])}, not {list(weights.shape)}")
    if not np.isfinite(W[np.broadcast_to(weights[:, None] > 0, W.shape)]).all():
        raise GeometryError("the landmarks hold NaN or infinite values: give missing points weight 0")
    if len(W) < 4 * options.basis:
        raise GeometryError(
            f"{len(W)} views are too few for {options.basis} basis shapes: give at least four per shape"
        )
    return np.where(weights[:, None] > 0, W, 0.0), weights


def _first_basis(views: Views, mean: Array, K: int) -> ShapeModel:
    """A first basis: principal components of the residuals, lifted to 3D at least length."""
    camera, L = views.camera, mean.shape[1]
    residual = (views.W - project(mean, camera)) * (views.weights[:, None] > 0)
    residual[:, 1] *= -1
    lifted = camera.R[:, :2].transpose(0, 2, 1) @ residual / camera.s[:, None, None]
    flat = remove_rigid_motions(lifted, mean).reshape(len(lifted), -1)
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    scale = np.sqrt(np.maximum(values[::-1][:K], 1e-12))
    basis = (vectors[:, ::-1][:, :K] * scale).T.reshape(K, 3, L)
    noise = (views.weights * residual.transpose(1, 0, 2) ** 2).sum((0, 1)) / (2 * views.weights.sum(0) + 1e-12)
    return ShapeModel(mean, basis, np.maximum(noise, 1e-10))


def _maximise(model: ShapeModel, views: Views, covariance: Array) -> ShapeModel:
    """Closed-form M-step: mean, basis and noise that best explain the views; covariance is [N, K, K]."""
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
    basis = remove_rigid_motions(basis, mean)
    return ShapeModel(mean, basis, _noise(M, views, covariance, A, target))


def _whiten(mean: Array, basis: Array, alpha: Array, covariance: Array) -> tuple[Array, Array]:
    """The same shapes with coefficients of zero mean and unit covariance, as the prior z ~ N(0, I) says."""
    centre = alpha.mean(axis=0)
    spread = np.cov(alpha.T, bias=True).reshape(len(centre), -1) + covariance.mean(axis=0)
    L = np.linalg.cholesky(spread + 1e-9 * np.eye(len(spread)))
    return mean + np.tensordot(centre, basis, 1), np.tensordot(L.T, basis, 1)


def _noise(M: Array, views: Views, covariance: Array, A: Array, target: Array) -> Array:
    """Per-landmark variance of a coordinate: squared residual plus what the coefficients leave uncertain."""
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
