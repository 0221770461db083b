# SPDX-License-Identifier: Apache-2.0
"""The deformable shape model, and fitting its pose and coefficients to views by Gauss–Newton."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from .camera import POSE, ROTATION, SCALE, SHIFT, Array, Camera, nearest_rotation, project
from .factorize import GeometryError

_CHUNK = 512  # views at a time: their Jacobians stay in the cache
_LEAST_POINTS = 4  # of a view
STUDENT_NU = 4.0


@dataclass(frozen=True, slots=True)
class ShapeModel:
    """X(α) = mean + Σ α_k basis_k with α ~ N(0, I).

    ``mean`` [3, L] and ``basis`` [K, 3, L] in the face frame, ``noise`` [L] the variance of one picture
    coordinate of each landmark.
    """

    mean: Array
    basis: Array
    noise: Array

    def shape(self, alpha: Array) -> Array:
        """α [N, K] → X [N, 3, L]."""
        K, _, L = self.basis.shape
        return self.mean + (alpha @ self.basis.reshape(K, 3 * L)).reshape(-1, 3, L)


@dataclass(frozen=True, slots=True)
class Views:
    """Picture points W [N, 2, L], their weights [N, L], and the current estimate of each view."""

    W: Array
    weights: Array
    camera: Camera
    alpha: Array  # [N, K]

    def centred(self) -> Array:
        """Returns the picture points relative to the translation, with y upwards, [N, 2, L]."""
        target = self.W - self.camera.t[:, :, None]
        target[:, 1] *= -1
        return target

    def reweighted(self, weights: Array) -> Views:
        return replace(self, weights=weights)


def check_views(W: Array, weights: Array) -> None:
    """Raises GeometryError for a view with too few or degenerate points to determine its pose."""
    few = (weights > 0).sum(axis=1) < _LEAST_POINTS
    if few.any():
        raise GeometryError(f"view {int(np.nonzero(few)[0][0])} has fewer than four visible points: leave it out")
    points = np.where(weights[:, None] > 0, W, np.nan)
    flat = ~(np.nanmax(points, axis=2) > np.nanmin(points, axis=2)).any(axis=1)
    if flat.any():
        raise GeometryError(f"all points of view {int(np.nonzero(flat)[0][0])} lie on one spot: leave it out")


def infer(model: ShapeModel, W: Array, weights: Array | None = None, *, robust: bool = False, steps: int = 12) -> Views:
    """Fits pose and coefficients of new views ``W`` [N, 2, L] with the model held fixed.

    Minimises Σ_l w_l |W_l − π(X_l(α))|² / noise_l + |α|² over the weak-perspective camera π and α, for each view
    independently of the others. ``robust`` weighs points by a Student-t as in the fit.
    """
    W = np.asarray(W, dtype=np.float64)
    trust = np.ones(W.shape[::2]) if weights is None else weights
    W = np.where(trust[:, None] > 0, W, 0.0)
    views = Views(W, trust, rigid_pose(model.mean, W, trust), np.zeros((len(W), len(model.basis))))
    for _ in range(steps):
        views, _ = expected_step(model, views)
        if robust:
            views = views.reweighted(trust * robust_weights(model, views))
    return views


def rigid_pose(mean: Array, W: Array, weights: Array) -> Camera:
    """Returns the weak-perspective cameras [N] that best show the rigid shape ``mean``: an affine fit, projected to
    rotations.
    """
    homogeneous = np.concatenate([mean, np.ones((1, mean.shape[1]))])
    upward = W.copy()
    upward[:, 1] *= -1
    normal = np.einsum("nl,il,jl->nij", weights, homogeneous, homogeneous, optimize=True)
    right = np.einsum("nl,nil,jl->nji", weights, upward, homogeneous, optimize=True)
    affine = np.linalg.solve(normal + 1e-9 * np.eye(4), right).transpose(0, 2, 1)  # [N, 2, 4]
    a, b = affine[:, 0, :3], affine[:, 1, :3]
    R = nearest_rotation(np.stack([a, b, np.cross(a, b) / np.linalg.norm(a, axis=1)[:, None]], axis=1))
    s = 0.5 * (np.linalg.norm(a, axis=1) + np.linalg.norm(b, axis=1))
    return Camera(R, s, affine[:, :, 3] * [1, -1])


def expected_step(model: ShapeModel, views: Views) -> tuple[Views, Array]:
    """Moves every view's pose and coefficients by one joint Gauss–Newton step towards the maximum of the posterior.

    Returns the moved views and the posterior covariance of α [N, K, K], with the pose marginalised.
    """
    N, K = views.alpha.shape
    alpha, covariance = np.empty((N, K)), np.empty((N, K, K))
    R, s, t = np.empty((N, 3, 3)), np.empty(N), np.empty((N, 2))
    for start in range(0, N, _CHUNK):
        part = slice(start, start + _CHUNK)
        old = Camera(views.camera.R[part], views.camera.s[part], views.camera.t[part])
        step, covariance[part] = _newton(model, views.W[part], views.weights[part], old, views.alpha[part])
        alpha[part] = views.alpha[part] + step[:, :K]
        pose = step[:, K:]
        R[part] = Rotation.from_rotvec(pose[:, ROTATION]).as_matrix() @ old.R
        s[part] = old.s * np.exp(np.clip(pose[:, SCALE], -0.5, 0.5))
        t[part] = old.t + pose[:, SHIFT] * [1, -1]
    return Views(views.W, views.weights, Camera(R, s, t), alpha), covariance


def _newton(model: ShapeModel, W: Array, weights: Array, camera: Camera, alpha: Array) -> tuple[Array, Array]:
    """Computes the step [n, K + 6] and the covariance of α [n, K, K] for one chunk of views."""
    n, K = alpha.shape
    L = W.shape[2]
    Y = camera.R @ model.shape(alpha)
    s = camera.s[:, None, None]
    residual = W - project(model.shape(alpha), camera)
    residual[:, 1] *= -1
    J = np.zeros((n, K + POSE, 2, L))
    J[:, :K] = (
        (camera.R[:, :2] @ model.basis.transpose(1, 0, 2).reshape(3, -1)).reshape(n, 2, K, L).transpose(0, 2, 1, 3)
    )
    # d(δ × Y) for the rotation vector δ, then log scale: all of these are scaled by s.
    J[:, K, 1], J[:, K + 1, 0] = -Y[:, 2], Y[:, 2]
    J[:, K + 2, 0], J[:, K + 2, 1] = -Y[:, 1], Y[:, 0]
    J[:, K + 3] = Y[:, :2]
    J[:, : K + 4] *= s[..., None]
    J[:, K + 4, 0] = J[:, K + 5, 1] = 1
    precision = (weights / model.noise)[:, None, None]
    weighted = (J * precision).reshape(n, K + POSE, 2 * L)
    H = weighted @ J.reshape(n, K + POSE, 2 * L).transpose(0, 2, 1)
    g = (weighted @ residual.reshape(n, 2 * L, 1))[..., 0]
    diagonal = np.arange(K + POSE)
    H[:, diagonal, diagonal] *= 1 + 1e-9
    H[:, diagonal[:K], diagonal[:K]] += 1  # the prior α ~ N(0, I)
    g[:, :K] -= alpha
    inverse = np.asarray(np.linalg.inv(H), dtype=np.float64)
    return (inverse @ g[..., None])[..., 0], inverse[:, :K, :K]


def robust_weights(model: ShapeModel, views: Views) -> Array:
    """Returns Student-t weights (ν + 2) / (ν + d²) [N, L] in (0, 1.5], with d the distance in standard deviations."""
    residual = views.W - project(model.shape(views.alpha), views.camera)
    distance = (residual**2).sum(axis=1) / model.noise
    return (STUDENT_NU + 2) / (STUDENT_NU + distance)
