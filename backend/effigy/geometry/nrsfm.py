# SPDX-License-Identifier: Apache-2.0
"""Non-rigid structure from motion: landmarks of many views → cameras, mean shape and deformation basis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from .axes import check_order
from .camera import Array, Camera, project
from .em import expectation_maximisation
from .factorize import GeometryError, rigid_start
from .gauge import contour_visibility, fix_gauge
from .rankone import CALIBRATIONS, Calibration, alternate, complete, factor_cameras, paper_fit, top_factors
from .shape import ShapeModel, Views, check_views, expected_step
from .topology import Topology

__all__ = ["MODES", "FitOptions", "FitResult", "GeometryError", "Mode", "fit"]

Mode = Literal["linear", "rankone", "rankone-paper"]
MODES: tuple[Mode, ...] = get_args(Mode)

_POLISH = 3  # steps that settle every view after the gauge has moved the basis
_VIEWS_PER_SHAPE = 4
_FIRST_BASIS = 12  # deformations of the short fits that only look
_FAR, _OUTLIERS = 25.0, 1e-3  # simulated faces: 7e-6 of the points without, 1.2e-2 with one percent of outliers
_MEDIAN = 2 * np.log(2)  # of a chi-squared variable with two degrees of freedom


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Options of a fit.

    ``mode``: ``linear`` is the joint EM fit of a full basis, the default for quality; ``rankone`` the paper's basis on
    metric cameras; ``rankone-paper`` the published algorithm with its ``calibration``, for comparison. ``basis``:
    deformations K. ``sweeps``: of EM or of alternating least squares. ``robust`` (linear only) tolerates gross
    outliers, and contours that slide along the far side, at a small loss on clean data; None first tests for outliers.
    """

    basis: int = 24
    sweeps: int = 50
    robust: bool | None = None
    mode: Mode = "linear"
    calibration: Calibration = "meanrot"


@dataclass(frozen=True, slots=True)
class FitResult:
    """A shape model, and for each view the camera, the coefficients α [N, K] and the fitted picture points [N, 2,
    L].
    """

    model: ShapeModel
    camera: Camera
    alpha: Array
    reprojection: Array
    diagnostics: dict[str, Any] = field(default_factory=dict)


Progress = Callable[[int, int], None]


def fit(
    W: Array,
    topology: Topology,
    options: FitOptions = FitOptions(),
    weights: Array | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Fits a shape model to picture points ``W`` [N, 2, L] (x right, y down).

    ``weights`` [N, L] ≥ 0: the reliability of each point; 0 is a missing point. In all modes but ``rankone-paper`` the
    result is in the gauge of docs/architecture.md: the mean face is frontal, symmetric about x = 0 and of unit size.
    Deterministic, and independent of the order of views. Raises GeometryError if the views do not determine a shape, or
    if it is not a face in the topology's order.
    """
    W, trust = _check(W, weights, topology, options)
    if options.mode == "rankone-paper":
        return _fit_paper(W, trust, options, progress)
    mean, camera, health = rigid_start(W, trust)
    rigid = ShapeModel(mean, np.zeros((0, *mean.shape)), np.ones(mean.shape[1]))
    check_order(fix_gauge(rigid, camera, topology, settle_pose=False)[0].mean, topology)
    if options.mode == "rankone":
        return _fit_rankone(W, trust, topology, options, mean, camera, health)
    robust = _has_outliers(W, trust, options, mean, camera) if options.robust is None else options.robust
    if robust:
        trust = _fit_visibility(W, trust, topology, options, mean, camera)
    model, views = expectation_maximisation(
        W, trust, mean, camera, options.basis, options.sweeps, robust=robust, progress=progress
    )
    model, camera = fix_gauge(model, views.camera, topology)
    views = Views(W, views.weights, camera, views.alpha)
    for _ in range(_POLISH):
        views, _ = expected_step(model, views)
    return _result(model, views.camera, views.alpha, {**health, "robust": robust})


def _result(model: ShapeModel, camera: Camera, alpha: Array, diagnostics: dict[str, Any]) -> FitResult:
    return FitResult(model, camera, alpha, project(model.shape(alpha), camera), diagnostics)


def _has_outliers(W: Array, trust: Array, options: FitOptions, mean: Array, camera: Camera) -> bool:
    """Returns whether a short fit leaves more far residuals than Gaussian noise does: among ten thousand points none is
    25 times as far (squared) as the median, scaled to its expectation.
    """
    K = min(options.basis, _FIRST_BASIS)
    model, views = expectation_maximisation(W, trust, mean, camera, K, options.sweeps // 3, robust=False)
    squared = ((W - project(model.shape(views.alpha), views.camera)) ** 2).sum(axis=1) / model.noise
    seen = squared[trust > 0]
    return bool((seen > _FAR * np.median(seen) / _MEDIAN).mean() > _OUTLIERS)


def _fit_visibility(
    W: Array, trust: Array, topology: Topology, options: FitOptions, mean: Array, camera: Camera
) -> Array:
    """Weights [N, L] that distrust the contour of the far side: a detector slides it along the silhouette.

    A first robust fit tells how far each face is turned.
    """
    model, views = expectation_maximisation(
        W, trust, mean, camera, min(options.basis, _FIRST_BASIS), options.sweeps // 3, robust=True
    )
    _, camera = fix_gauge(model, views.camera, topology)
    return trust * contour_visibility(camera, topology)


def _fit_rankone(
    W: Array, trust: Array, topology: Topology, options: FitOptions, mean: Array, camera: Camera, health: dict[str, Any]
) -> FitResult:
    residual = np.where(trust[:, None] > 0, W - project(mean, camera), 0.0)
    residual[:, 1] *= -1
    scores, rows = top_factors(residual.reshape(-1, W.shape[2]), options.basis)
    M = camera.s[:, None, None] * camera.R[:, :2]
    D, alpha, objective = alternate(M, scores.reshape(len(W), 2, -1), options.sweeps)
    size = np.maximum(alpha.std(axis=0), 1e-12)
    basis = size[:, None, None] * D[:, :, None] * rows[:, None, :]
    noise = np.maximum((residual**2).mean(axis=(0, 1)), 1e-10)
    model, camera = fix_gauge(ShapeModel(mean, basis, noise), camera, topology, settle_pose=False)
    return _result(model, camera, alpha / size, {**health, "objective": objective})


def _fit_paper(W: Array, trust: Array, options: FitOptions, progress: Progress | None) -> FitResult:
    if not (trust > 0).all():
        raise GeometryError("rankone-paper cannot bear missing points: use linear or rankone")
    centre = W.mean(axis=2)
    found = paper_fit(W - centre[:, :, None], options.basis, options.sweeps, options.calibration, progress)
    k, R = factor_cameras(found.cameras)
    X = found.mean + np.tensordot(found.alpha, found.basis, 1)
    # Its picture has y downwards and its cameras look along +z; ours have y upwards and look along −z.
    turn = np.diag([1.0, -1.0, -1.0])
    camera = Camera(turn @ complete(R), 0.5 * (k[:, 0, 0] + k[:, 1, 1]), centre)
    noise = np.full(W.shape[2], np.nan)
    model = ShapeModel(found.mean, found.basis, noise)
    shown = found.cameras @ X + centre[:, :, None]
    return FitResult(model, camera, found.alpha, shown, {"objective": found.objective})


def _check(W: Array, weights: Array | None, topology: Topology, options: FitOptions) -> tuple[Array, Array]:
    W = np.asarray(W, dtype=np.float64)
    if options.mode not in MODES:
        raise GeometryError(f"unknown mode {options.mode!r}: use {', '.join(MODES)}")
    if options.calibration not in CALIBRATIONS:
        raise GeometryError(f"unknown calibration {options.calibration!r}: use {', '.join(CALIBRATIONS)}")
    if W.ndim != 3 or W.shape[1:] != (2, topology.count):
        raise GeometryError(f"landmarks must be [N, 2, {topology.count}] for {topology.name}, not {list(W.shape)}")
    trust = np.ones(W.shape[::2]) if weights is None else np.asarray(weights, dtype=np.float64)
    if trust.shape != W.shape[::2]:
        raise GeometryError(f"weights must be {list(W.shape[::2])}, not {list(trust.shape)}")
    if not (np.isfinite(trust).all() and (trust >= 0).all()):
        raise GeometryError("weights must be finite and not negative")
    bad = ~np.isfinite(W).all(axis=1) & (trust > 0)
    if bad.any():
        view, landmark = (int(i[0]) for i in np.nonzero(bad))
        raise GeometryError(
            f"{int(bad.sum())} points are NaN or infinite, the first in view {view}, landmark {landmark}: "
            "give missing points weight 0"
        )
    if len(W) < _VIEWS_PER_SHAPE * options.basis:
        raise GeometryError(
            f"{len(W)} views are too few for {options.basis} basis shapes: give at least "
            f"{_VIEWS_PER_SHAPE * options.basis}, or ask for fewer shapes"
        )
    check_views(W, trust)
    return np.where(trust[:, None] > 0, W, 0.0), trust
