# SPDX-License-Identifier: Apache-2.0
"""Compares fitted cameras and shapes with the truth of simulated views.

    python recipes/bench/geometry.py tests/fixtures/faces_clean.npz

The file holds picture points W [N, 2, L], optionally vis, and the truth: X [N, 3, L], R [N, 3, 3] (camera x right,
y down, z away), s [N], yaw [N] in degrees, iod [N] the outer-eye distance; optionally clean [N, 2, L], W without
noise. ``--unseen FILE`` also fits other views with the basis held fixed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from effigy.commands.nrsfm import read_tracks
from effigy.geometry import Camera, FitOptions, angles, fit, infer, load_topology, project
from effigy.geometry.camera import Array, nearest_rotation

FLIP = np.diag([1.0, -1.0, -1.0])
MIRROR = np.diag([1.0, 1.0, -1.0])
ROWS = ("rotation mean °", "rotation 95 % °", "3D %", "yaw slope", "NME %", "seconds")


def main(path: Path, unseen: Path | None, plain: bool) -> None:
    truth = dict(np.load(path))
    W, weights = read_tracks(path)
    weights = None if plain else weights
    topology = load_topology("ibug68")
    figures = {}
    linear = None
    for title, options in {
        "linear, K=24": FitOptions(),
        "rankone, K=12": FitOptions(12, 10, mode="rankone"),
        "paper, K=12": FitOptions(12, 10, mode="rankone-paper"),
        "paper quan, K=12": FitOptions(12, 10, mode="rankone-paper", calibration="quan"),
    }.items():
        if options.mode == "rankone-paper" and weights is not None and not weights.all():
            continue  # it needs every point
        started = time.perf_counter()
        found = fit(W, topology, options, weights)
        seconds = time.perf_counter() - started
        linear = linear or found
        X = found.model.shape(found.alpha)
        figures[title] = compare(truth, found.camera, X, found.reprojection, seconds)
    if unseen is not None and linear is not None:
        W, weights = read_tracks(unseen)
        started = time.perf_counter()
        views = infer(linear.model, W, weights, robust=linear.diagnostics["robust"])
        X = linear.model.shape(views.alpha)
        seconds = time.perf_counter() - started
        figures["unseen, fixed basis"] = compare(
            dict(np.load(unseen)), views.camera, X, project(X, views.camera), seconds
        )
    table = Table(path.name, *figures)
    for number, row in enumerate(ROWS):
        table.add_row(row, *(f"{values[number]:.3f}" for values in figures.values()))
    Console().print(table)


def compare(truth: dict[str, Array], camera: Camera, X: Array, reprojection: Array, seconds: float) -> list[float]:
    """Computes the figures of ROWS; 3D and NME in percent of the outer-eye distance."""
    error, R, mirrored = rotation_error(FLIP @ camera.R, truth["R"])
    yaw = np.degrees(angles(FLIP @ R)[0])
    wanted = truth.get("clean", truth["W"])
    nme = np.linalg.norm(reprojection - wanted, axis=1).mean(axis=1) / (truth["s"] * truth["iod"])
    return [
        float(error.mean()),
        float(np.percentile(error, 95)),
        shape_error(MIRROR @ X if mirrored else X, truth),
        float(np.polyfit(truth["yaw"], yaw, 1)[0]),
        float(100 * nme.mean()),
        seconds,
    ]


def rotation_error(found: Array, truth: Array) -> tuple[Array, Array, bool]:
    """Returns degrees per view, after one rotation and one choice of mirror image for all views."""
    best: tuple[Array, Array, bool] | None = None
    for mirrored in (False, True):
        R = MIRROR @ found @ MIRROR if mirrored else found
        kept = np.ones(len(R), bool)
        for _ in range(6):  # the rotation that most views agree on
            turned = R @ nearest_rotation(np.einsum("nji,njk->ik", R[kept], truth[kept]))
            cosine = (np.einsum("nij,nij->n", turned, truth) - 1) / 2
            error = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
            kept = error <= np.quantile(error, 0.8)
        if best is None or error.mean() < best[0].mean():
            best = error, turned, mirrored
    assert best is not None
    return best


def shape_error(X: Array, truth: dict[str, Array]) -> float:
    """Returns the mean distance after a similarity transform of each view."""
    a, b = (v - v.mean(axis=2, keepdims=True) for v in (X, truth["X"].astype(float)))
    turned = nearest_rotation(b @ a.transpose(0, 2, 1)) @ a
    scale = (turned * b).sum(axis=(1, 2)) / (turned**2).sum(axis=(1, 2))
    distance = np.linalg.norm(scale[:, None, None] * turned - b, axis=1).mean(axis=1)
    return float(100 * (distance / truth["iod"]).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracks", type=Path)
    parser.add_argument("--unseen", type=Path)
    parser.add_argument("--plain", action="store_true", help="do not use the file's visibility")
    options = parser.parse_args()
    main(options.tracks, options.unseen, options.plain)
