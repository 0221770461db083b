# SPDX-License-Identifier: Apache-2.0
"""From a generator to a face model: sample, detect, factor, regress, save."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..editing import Parameters, train_regressor
from ..generators import load_generator
from ..geometry import FitOptions, angles, fit, load_topology
from ..geometry.expressions import name_expressions
from ..geometry.gauge import pivot, shift_origin
from ..landmarks import Detector
from .bundle import save_face_model, sha256
from .samples import Progress, Recipe, sample

_HELD_OUT = 0.1  # share of the samples that only judge


@dataclass(frozen=True, slots=True)
class FitReport:
    """Errors in percent of the outer-eye distance: of the shape model, and of the regressor on unseen latents."""

    samples: int
    shape_nme_percent: float
    regressor_nme_percent: float


def fit_face_model(
    generator_path: Path,  # weights to fit
    detector: Detector,  # finds landmarks in their pictures
    out: Path,  # the bundle's folder
    work: Path,  # where samples are kept, so that an interrupted run resumes
    name: str = "face",  # as users see it
    samples: int = 8000,  # pictures to make and measure
    basis: int = 16,  # deformations K
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
) -> FitReport:
    """Fits a face model to a generator and writes its bundle. Takes minutes on a CPU, most of them sampling."""
    generator = load_generator(generator_path)
    topology = load_topology(detector.topology)
    recipe = Recipe(sha256(generator_path), detector.fingerprint, seed)
    w, W = sample(generator, detector, recipe, samples, work, progress)
    fitted = fit(W, topology, FitOptions(basis), progress=lambda i, n: progress("factor", i, n))
    origin = pivot(fitted.camera)
    shape, camera = shift_origin(fitted.model, fitted.camera, origin)
    held_out = int(_HELD_OUT * samples)
    regressor, nme = train_regressor(
        w, W, Parameters(camera, fitted.alpha), shape, held_out, seed=seed,
        progress=lambda i, n: progress("regress", i, n),
    )  # fmt: skip
    controls = name_expressions(shape, fitted.alpha, topology)
    shape_nme = 100 * float((np.linalg.norm(fitted.reprojection - W, axis=1).mean(axis=1) / camera.s).mean())
    report = FitReport(samples, shape_nme, nme)
    yaw, pitch, _ = angles(camera.R)
    header = {
        "name": name,
        "topology": topology.name,
        "pose_range": [float(np.degrees(np.percentile(np.abs(a), 99.0))) for a in (yaw, pitch)],
        "report": {
            "samples": samples, "basis": basis, "seed": seed,
            "shape_nme_percent": round(shape_nme, 3), "regressor_nme_percent": round(nme, 3),
        },
    }  # fmt: skip
    save_face_model(out, header, shape, regressor, controls, generator_path)
    return report
