# SPDX-License-Identifier: Apache-2.0
"""``effigy nrsfm``: landmark tracks in, cameras and a deformable shape out.

File formats are described in docs/nrsfm.md. Files hold R with the camera's x right, y down, z away, as
computer vision has it; inside, y is up and z towards the viewer. Tracks with mirrored axes are laid right for the
fit; what is written is in the axes that they came with.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from effigy_protocol.files import parse_json, whole_file

from ..array_files import read_arrays
from ..geometry import (
    Camera,
    FitOptions,
    GeometryError,
    ShapeModel,
    angles,
    check_views,
    fit,
    infer,
    load_topology,
    mirrored_axes,
    project,
)
from ..geometry.camera import Array
from ..geometry.expressions import name_expressions
from ..geometry.topology import Topology, topology_of_count

_FLIP = np.diag([1.0, -1.0, -1.0])  # between the two camera conventions; its own inverse
_UPSIDE_DOWN = 120.0  # degrees of roll, in the median


def fit_tracks(
    tracks: Path,  # .npz with W [N, 2, L] and optionally vis
    out: Path,  # .npz to write
    options: FitOptions,
    topology: str | None = None,  # name of the landmark set; by default the known one with L landmarks
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Fits the tracks and writes cameras, shapes and model; returns the diagnostics that it also writes."""
    W, weights = read_tracks(tracks)
    landmarks = _topology(topology, W.shape[2])
    axes, words = mirrored_axes(W, weights, landmarks)
    W = axes @ W
    found = fit(W, landmarks, options, weights, progress)
    controls, readings = _readings(found.model, found.alpha, landmarks)
    diagnostics = {
        "topology": landmarks.name,
        "mode": options.mode,
        "views": len(W),
        "basis": options.basis,
        "nme_percent": _nme(W, weights, found.reprojection, found.camera),
        "controls": controls,
        "notes": _notes(words, None if options.mode == "rankone-paper" else found.camera),  # whose frame is any
        **found.diagnostics,
    }
    _write(out, found.model, found.camera, found.alpha, found.reprojection, readings, diagnostics, axes)
    return diagnostics


def infer_tracks(tracks: Path, fitted: Path, out: Path, robust: bool | None = None) -> dict[str, Any]:
    """Fits cameras and coefficients of new views with the basis of ``fitted`` held fixed; writes the same arrays.

    ``robust`` is as in the fit, unless it is given.
    """
    W, weights = read_tracks(tracks)
    model, readings, trained = read_fit(fitted)
    if W.shape[2] != model.mean.shape[1]:
        raise GeometryError(f"{tracks} has {W.shape[2]} landmarks, the model in {fitted} {model.mean.shape[1]}")
    if not np.isfinite(model.noise).all():
        raise GeometryError(f"{fitted} was fitted with rankone-paper, which cannot explain new views: fit with linear")
    check_views(W, np.ones(W.shape[::2]) if weights is None else weights)
    axes, words = mirrored_axes(W, weights, _topology(trained.get("topology"), W.shape[2]))
    W = axes @ W
    views = infer(model, W, weights, robust=trained.get("robust", False) if robust is None else robust)
    reprojection = project(model.shape(views.alpha), views.camera)
    diagnostics = {
        **trained,
        "views": len(W),
        "nme_percent": _nme(W, weights, reprojection, views.camera),
        "notes": _notes(words, views.camera),
    }
    _write(out, model, views.camera, views.alpha, reprojection, readings, diagnostics, axes)
    return diagnostics


def _notes(mirrored: str, camera: Camera | None) -> list[str]:
    """Describes what was unexpected in the tracks and was tolerated."""
    notes = []
    if mirrored:
        notes.append(f"the tracks are mirrored ({mirrored}): the fit laid them right; results are in their own axes")
    if camera is not None:
        turn = float(np.degrees(np.angle(np.exp(1j * angles(camera.R)[2]).mean())))  # the mean direction
        if abs(turn) > _UPSIDE_DOWN:
            notes.append(f"most views show the face upside down (rolled by {turn:.0f}°): do both axes run backwards?")
    return notes


def _readings(model: ShapeModel, alpha: Array, topology: Topology) -> tuple[list[str], Array]:
    """Names of the expressions, and [C, K + 1]: α's coefficients and a constant; 0 is rest, 1 a strong face."""
    named = name_expressions(model, alpha, topology)
    readings = np.array([e.reading for e in named]).reshape(len(named), alpha.shape[1])
    return [e.name for e in named], np.column_stack([readings, -np.median(alpha @ readings.T, axis=0)])


def read_tracks(path: Path) -> tuple[Array, Array | None]:
    """Reads W [N, 2, L] and the visibility [N, L] as weights, None if the file has none. Raises GeometryError."""
    archive = _load(path)
    if "W" not in archive:
        raise GeometryError(
            f"{path} has no array W [N, 2, L] of picture points (it has {', '.join(archive) or 'none'})"
        )
    W = archive["W"]
    if W.ndim != 3 or W.shape[1] != 2 or W.dtype.kind not in "fiu":
        raise GeometryError(f"W in {path} must be real numbers [N, 2, L], not {W.dtype} {list(W.shape)}")
    weights = _visibility(archive["vis"], W, path) if "vis" in archive else None
    bad = ~np.isfinite(W).all(axis=1) & (True if weights is None else weights > 0)
    if bad.any():
        view, landmark = (int(index[0]) for index in np.nonzero(bad))
        raise GeometryError(
            f"{int(bad.sum())} points of W in {path} are no numbers, the first in view {view}, landmark {landmark}: "
            "give the file an array vis [N, L] that is False for missing points"
        )
    return W.astype(np.float64), weights


def read_fit(path: Path) -> tuple[ShapeModel, Array, dict[str, Any]]:
    """Reads the shape model, readings and diagnostics of a file that ``fit_tracks`` wrote. Raises GeometryError."""
    archive = _load(path)
    if missing := {"mean", "basis", "noise", "readings", "diagnostics"} - archive.keys():
        raise GeometryError(f"{path} is not a fit (it lacks {', '.join(sorted(missing))}): make one with effigy nrsfm")
    try:
        model = ShapeModel(*(archive[name].astype(np.float64) for name in ("mean", "basis", "noise")))
        return model, archive["readings"], dict(parse_json(bytes(archive["diagnostics"]).decode()))
    except (ValueError, TypeError) as error:
        raise GeometryError(f"the fit {path} is damaged ({error}): make it again") from None


def _visibility(vis: np.ndarray, W: Array, path: Path) -> Array:
    """Converts packed bits (as np.packbits packs the rows) or booleans to weights 0 and 1."""
    N, _, L = W.shape
    if vis.dtype == np.uint8 and vis.shape == (N, -(-L // 8)) and vis.shape[1] != L:
        vis = np.unpackbits(vis, axis=1)[:, :L]
    if vis.shape != (N, L):
        raise GeometryError(
            f"vis in {path} must be [{N}, {L}], or packed bits [{N}, {-(-L // 8)}], not {list(vis.shape)}"
        )
    if vis.dtype.kind not in "biuf" or not np.isfinite(vis).all() or (vis < 0).any():  # some write −1 for missing
        raise GeometryError(
            f"vis in {path} must be booleans, or numbers that are 0 where a point is missing and else positive"
        )
    return (vis != 0).astype(np.float64)


def _topology(name: str | None, count: int) -> Topology:
    try:
        return load_topology(name) if name else topology_of_count(count)
    except ValueError as error:
        raise GeometryError(str(error)) from None


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_arrays(path)
    except ValueError as error:
        raise GeometryError(f"{error}: give an .npz archive of plain arrays, as numpy.savez writes it") from None


def _nme(W: Array, weights: Array | None, reprojection: Array, camera: Camera) -> float:
    """Returns the mean distance to the visible points, in percent of the outer-eye distance of the mean face."""
    distance = np.linalg.norm(reprojection - W, axis=1) / camera.s[:, None]
    seen = np.ones_like(distance) if weights is None else weights
    return float(100 * np.nansum(np.where(seen > 0, distance, 0) * seen) / seen.sum())


def _write(
    out: Path,
    model: ShapeModel,
    camera: Camera,
    alpha: Array,
    reprojection: Array,
    readings: Array,
    diagnostics: dict[str, Any],
    axes: Array,  # [2, 2], which laid the tracks right; its own inverse
) -> None:
    turned = np.eye(3)
    turned[:2, :2], turned[2, 2] = axes, np.linalg.det(axes)  # cameras stay rotations
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            R=turned @ _FLIP @ camera.R,
            s=camera.s,
            t=camera.t @ axes.T,
            X=model.shape(alpha),
            mean=model.mean,
            basis=model.basis,
            noise=model.noise,
            alpha=alpha,
            reprojection=axes @ reprojection,
            readings=readings,
            activation=alpha @ readings[:, :-1].T + readings[:, -1],
            diagnostics=np.frombuffer(json.dumps(diagnostics).encode(), dtype=np.uint8),
        )
