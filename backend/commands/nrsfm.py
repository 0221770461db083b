# SPDX-License-Identifier: Apache-2.0
"""``effigy nrsfm``: landmark tracks in, cameras and a deformable shape out.

File formats are described in docs/nrsfm.md. Files hold R with the camera's x right, y down, z away, as
computer vision has it; inside, y is up and z towards the viewer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..array_files import read_arrays
from ..files import parse_json
from ..geometry import Camera, FitOptions, GeometryError, ShapeModel, fit, infer, load_topology, project
from ..geometry.camera import Array
from ..geometry.expressions import name_expressions
from ..geometry.topology import Topology, topology_of_count

_FLIP = np.diag([1.0, -1.0, -1.0])  # between the two camera conventions; its own inverse


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
    found = fit(W, landmarks, options, weights, progress)
    controls, readings = _readings(found.model, found.alpha, landmarks)
    diagnostics = {
        "topology": landmarks.name,
        "mode": options.mode,
        "views": len(W),
        "basis": options.basis,
        "nme_percent": _nme(W, weights, found.reprojection, found.camera),
        "controls": controls,
        **found.diagnostics,
    }
    _write(out, found.model, found.camera, found.alpha, found.reprojection, readings, diagnostics)
    return diagnostics


def infer_tracks(tracks: Path, fitted: Path, out: Path, robust: bool | None = None) -> dict[str, Any]:
    """Cameras and coefficients of new views with the basis of ``fitted`` held fixed; writes the same arrays.

    ``robust`` as in the fit unless it is given.
    """
    W, weights = read_tracks(tracks)
    model, readings, trained = read_fit(fitted)
    if W.shape[2] != model.mean.shape[1]:
        raise GeometryError(f"{tracks} has {W.shape[2]} landmarks, the model in {fitted} {model.mean.shape[1]}")
    if not np.isfinite(model.noise).all():
        raise GeometryError(f"{fitted} was fitted with rankone-paper, which cannot explain new views: fit with linear")
    views = infer(model, W, weights, robust=trained.get("robust", False) if robust is None else robust)
    reprojection = project(model.shape(views.alpha), views.camera)
    diagnostics = {**trained, "views": len(W), "nme_percent": _nme(W, weights, reprojection, views.camera)}
    _write(out, model, views.camera, views.alpha, reprojection, readings, diagnostics)
    return diagnostics


def _readings(model: ShapeModel, alpha: Array, topology: Topology) -> tuple[list[str], Array]:
    """Names of the expressions, and [C, K + 1]: α's coefficients and a constant; 0 is rest, 1 a strong face."""
    named = name_expressions(model, alpha, topology)
    readings = np.array([e.reading for e in named]).reshape(len(named), alpha.shape[1])
    return [e.name for e in named], np.column_stack([readings, -np.median(alpha @ readings.T, axis=0)])


def read_tracks(path: Path) -> tuple[Array, Array | None]:
    """W [N, 2, L] and the visibility [N, L] as weights, or None when the file has none. Raises GeometryError."""
    archive = _load(path)
    if "W" not in archive:
        raise GeometryError(
            f"{path} has no array W [N, 2, L] of picture points (it has {', '.join(archive) or 'none'})"
        )
    W = archive["W"]
    if W.ndim != 3 or W.shape[1] != 2 or W.dtype.kind not in "fiu":
        raise GeometryError(f"W in {path} must be real numbers [N, 2, L], not {W.dtype} {list(W.shape)}")
    return W.astype(np.float64), _visibility(archive["vis"], W, path) if "vis" in archive else None


def read_fit(path: Path) -> tuple[ShapeModel, Array, dict[str, Any]]:
    """The shape model, readings and diagnostics of a file that ``fit_tracks`` wrote. Raises GeometryError."""
    archive = _load(path)
    if missing := {"mean", "basis", "noise", "readings", "diagnostics"} - archive.keys():
        raise GeometryError(f"{path} is not a fit (it lacks {', '.join(sorted(missing))}): make one with effigy nrsfm")
    try:
        model = ShapeModel(*(archive[name].astype(np.float64) for name in ("mean", "basis", "noise")))
        return model, archive["readings"], dict(parse_json(bytes(archive["diagnostics"]).decode()))
    except (ValueError, TypeError) as error:
        raise GeometryError(f"the fit {path} is damaged ({error}): make it again") from None


def _visibility(vis: np.ndarray, W: Array, path: Path) -> Array:
    """Packed bits (as np.packbits packs the rows) or booleans → weights 0 and 1."""
    N, _, L = W.shape
    if vis.dtype == np.uint8 and vis.shape == (N, -(-L // 8)) and vis.shape[1] != L:
        vis = np.unpackbits(vis, axis=1)[:, :L]
    if vis.shape != (N, L):
        raise GeometryError(
            f"vis in {path} must be [{N}, {L}], or packed bits [{N}, {-(-L // 8)}], not {list(vis.shape)}"
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
    """Mean distance to the visible points, in percent of the outer-eye distance of the mean face."""
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
) -> None:
    """To a temporary name first: what stands under ``out`` is always whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".part")
    with temporary.open("wb") as file:
        np.savez_compressed(
            file,
            R=_FLIP @ camera.R,
            s=camera.s,
            t=camera.t,
            X=model.shape(alpha),
            mean=model.mean,
            basis=model.basis,
            noise=model.noise,
            alpha=alpha,
            reprojection=reprojection,
            readings=readings,
            activation=alpha @ readings[:, :-1].T + readings[:, -1],
            diagnostics=np.frombuffer(json.dumps(diagnostics).encode(), dtype=np.uint8),
        )
    temporary.replace(out)
