# SPDX-License-Identifier: Apache-2.0
"""The paper's rank-one shape basis (Haas et al. 2023, section 3.2), on metric cameras and as published.

Every basis shape is an outer product D_k ⊗ dB_k of a direction in space and a row of the residual's
factorisation. The rows dB are orthonormal, so the residual is projected once, X = dW dBᵀ [N, 2, K], and
alternating least squares on [N, K, 3] has the objective of the published loops over views.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .camera import Array

Calibration = Literal["meanrot", "quan", "x45", "z45", "none"]
CALIBRATIONS: tuple[Calibration, ...] = ("meanrot", "quan", "x45", "z45", "none")

_SEED_DIRECTION = 1 / np.sqrt(3)


@dataclass(frozen=True, slots=True)
class RankOne:
    """M_i (B0 + Σ α_ik D_k ⊗ dB_k) explains view i: cameras [N, 2, 3], mean [3, L], basis [K, 3, L], α [N, K].

    ``objective`` is the Frobenius norm of what the rank-one shapes leave of the rank-K residual, after each
    half sweep.
    """

    cameras: Array
    mean: Array
    basis: Array
    alpha: Array
    objective: list[float]


def alternate(
    M: Array, X: Array, sweeps: int, progress: Callable[[int, int], None] | None = None
) -> tuple[Array, Array, list[float]]:
    """Minimises Σ |X_ik − α_ik M_i D_k|² over unit directions D [K, 3] and coefficients α [N, K], in turn.

    ``M`` [N, 2, 3] are the cameras, ``X`` [N, 2, K] the projected residual. In the published order, α is solved first
    with D = (1, 1, 1)/√3, then D, which is then scaled to unit length. Returns D, α, and the objective after each half
    sweep.
    """
    N, _, K = X.shape
    D = np.full((K, 3), _SEED_DIRECTION)
    MtM = np.einsum("nci,ncj->nij", M, M).reshape(N, 9)
    MtX = np.einsum("nci,nck->nki", M, X)
    alpha = np.empty((N, K))
    objective = []
    for sweep in range(sweeps):
        alpha = _coefficients(MtM, MtX, D)
        objective.append(_norm(M, X, alpha, D))
        normal = (np.square(alpha).T @ MtM).reshape(K, 3, 3)
        right = np.einsum("nk,nki->ki", alpha, MtX)
        D = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
        D /= np.linalg.norm(D, axis=1, keepdims=True)
        objective.append(_norm(M, X, alpha, D))
        if progress:
            progress(sweep + 1, sweeps)
    return D, alpha, objective


def paper_fit(
    W: Array, K: int, sweeps: int, calibration: Calibration, progress: Callable[[int, int], None] | None = None
) -> RankOne:
    """Runs the published algorithm on centred picture points W [N, 2, L] (y downwards).

    It takes rank-3 factors by SVD and the residual's first K rows, refines them by alternating least squares, and
    applies one of its calibrations. Its cameras are affine: ``meanrot`` only turns them, so that the mean face is as
    deep as it is wide.
    """
    N, _, L = W.shape
    flat = W.reshape(2 * N, L)
    # The first directions (1, 1, 1) make the path depend on the signs of B0; after ten sweeps the objective
    # does not, to 2e-5 of its value.
    M, B0 = top_factors(flat, 3)
    rest = flat - M @ B0
    dM, dB = top_factors(rest, K)
    cameras = M.reshape(N, 2, 3)
    D, alpha, objective = alternate(cameras, dM.reshape(N, 2, K), sweeps, progress)
    basis = D[:, :, None] * dB[:, None, :]
    C = _calibrate(cameras, calibration)
    inverse = np.linalg.inv(C)
    return RankOne(cameras @ C, inverse @ B0, inverse @ basis, alpha, objective)


def factor_cameras(cameras: Array) -> tuple[Array, Array]:
    """Factors affine cameras [N, 2, 3] into k [N, 2, 2] (upper triangular, positive diagonal) times R [N, 2, 3]."""
    q, r = np.linalg.qr(cameras[:, ::-1].transpose(0, 2, 1))
    k = r.transpose(0, 2, 1)[:, ::-1, ::-1]
    R = q.transpose(0, 2, 1)[:, ::-1]
    signs = np.sign(np.diagonal(k, axis1=1, axis2=2))
    return k * signs[:, None, :], R * signs[:, :, None]


def complete(R: Array) -> Array:
    """Completes the first two rows of rotations, [N, 2, 3], to rotations [N, 3, 3]."""
    return np.concatenate([R, np.cross(R[:, 0], R[:, 1])[:, None]], axis=1)


def top_factors(flat: Array, rank: int) -> tuple[Array, Array]:
    """Returns the best factors of ``flat`` [2N, L] of that rank: scores [2N, rank] and orthonormal rows [rank, L].

    They are computed from the Gram matrix over landmarks, because L is much smaller than 2N.
    """
    _, vectors = np.linalg.eigh(flat.T @ flat)
    rows = vectors[:, ::-1][:, :rank].T
    return flat @ rows.T, rows


def _coefficients(MtM: Array, MtX: Array, D: Array) -> Array:
    """Computes α_ik = ⟨X_ik, M_i D_k⟩ / |M_i D_k|²."""
    K = len(D)
    squares = MtM @ np.einsum("ki,kj->ijk", D, D).reshape(9, K)
    return np.einsum("nki,ki->nk", MtX, D) / np.maximum(squares, 1e-300)


def _norm(M: Array, X: Array, alpha: Array, D: Array) -> float:
    shown = (M.reshape(-1, 3) @ D.T).reshape(len(M), 2, len(D))
    return float(np.linalg.norm(X - alpha[:, None] * shown))


def _calibrate(cameras: Array, calibration: Calibration) -> Array:
    """Returns the matrix [3, 3] by which the published code calibrates its cameras from the right."""
    if calibration == "quan":
        return _quan(cameras)
    if calibration == "x45":
        return _about(0, np.pi / 4)
    if calibration == "z45":  # published under this name, but it is a quarter turn
        return _about(2, np.pi / 2)
    if calibration == "meanrot":
        _, R = factor_cameras(cameras)
        U, _, Vt = np.linalg.svd(complete(R).mean(axis=0))
        return np.asarray((U @ Vt).T)
    return np.eye(3)


def _quan(cameras: Array) -> Array:
    """Calibrates affine cameras with constant aspect and skew from their motion alone (Quan, *Self-Calibration of an
    Affine Camera from Multiple Views*, IJCV 1996), by Levenberg–Marquardt; the first view then looks straight.
    """
    from scipy.optimize import least_squares  # takes a while, and only fits need it

    a, b = cameras[:, 0], cameras[:, 1]

    def factor(z: Array) -> Array:
        return np.array([[z[0], 0, 0], [z[1], z[2], 0], [z[3], z[4], 1]])

    def residuals(z: Array) -> Array:
        Q = factor(z) @ factor(z).T
        bb = np.einsum("ni,ij,nj->n", b, Q, b)
        aspect, skew = np.einsum("ni,ij,nj->n", a, Q, a) / bb, np.einsum("ni,ij,nj->n", a, Q, b) / bb
        # The published residuals are squares of the differences between neighbouring views.
        return np.concatenate([np.diff(aspect) ** 2, np.diff(skew) ** 2])

    Z = factor(least_squares(residuals, np.array([1.0, 0, 1, 0, 0]), method="lm").x)
    Q, _ = np.linalg.qr((cameras[0] @ Z).T, mode="complete")
    return Z @ Q


def _about(axis: int, angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    R = np.eye(3)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    R[i, i] = R[j, j] = c
    R[i, j], R[j, i] = -s, s
    return R
