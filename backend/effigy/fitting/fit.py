# SPDX-License-Identifier: Apache-2.0
"""Fits a face model to a generator: samples, detects, factors, regresses, learns looks, corrects, and saves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.files import digest, is_file

from ..editing import PRESETS, Parameters, Regressor, train_regressor
from ..editing.appearance_training import train_appearance
from ..editing.correction import Corrected, Detected, error_of
from ..editing.guide import explained_axes
from ..faces.about import ALL, PEOPLE, SCENES
from ..faces.bundle import save_face_model
from ..faces.depth import measure_depth
from ..faces.face import FaceModel
from ..faces.header import attribute_sources, sha256
from ..faces.looks import NO_NETWORK, Looks
from ..faces.paper import save_paper_regressor
from ..faces.replacing import check_replaceable
from ..generators import load_generator
from ..geometry import FitOptions, FitResult, ShapeModel, Topology, angles, fit, load_topology
from ..geometry.camera import Array
from ..geometry.expressions import check_control_names, name_expressions
from ..geometry.gauge import pivot, shift_origin
from ..landmarks import Detector
from ..recognition import Embedder
from .encoder_learning import PICTURES, learn_people
from .photo_learning import PEOPLE as PHOTO_PEOPLE
from .photo_learning import learn_photos
from .practice import EDITS, correct_by_edits
from .reach import reachable
from .samples import Latent, Progress, Recipe, Samples, SamplesError, read_latents, sample
from .showing import as_shown, left_of, shares, unshown

_HELD_OUT = 0.1  # share of the samples that nothing is trained on, for judging
_FACES = 0.8  # share of the pictures in which a face must be found


@dataclass(frozen=True, slots=True)
class FitPlan:
    """What to fit.

    ``latents`` is an .npz file with an array z [N, z_dim], to sample instead of normally distributed latents. Controls
    reach as far as the samples do, so a generator that rarely paints open mouths is fitted to latents that do. If the
    file says whom they show, in an array people [N], controls are found in what people change by moving, and edits
    change less of what a person keeps. An array scenes [N] says which latents differ in pose and expression alone: then
    edits follow these, and change less of hair and light too.
    """

    name: str = "face"  # as users see it
    samples: int = 8000
    basis: int = 16  # deformations K of the shape model
    latent: Latent = "w"  # what φ reads
    paper: bool = False  # whether the paper's regressor is trained too, to compare with
    seed: int = 0
    latents: Path | None = None
    photo_people: int = PHOTO_PEOPLE  # people painted to learn the photo map; 0: none is learnt
    people_pictures: int = PICTURES  # pictures painted to learn the encoder; 0: none is learnt


@dataclass(frozen=True, slots=True)
class FitReport:
    """How well the parts fit. Errors (NME) are mean landmark distances in percent of the outer-eye distance."""

    samples: int
    shape_nme_percent: float  # of the shape model, on its samples
    regressor_nme_percent: float  # of the regressor, on held-out samples
    corrected: Corrected
    paper_nme_percent: float | None  # of the paper's regressor, if it was asked for
    shape_nme: Array  # of the shape model, for each sample, [N]
    looks: Looks | None  # None for landmarks that are not a face's
    dropped: list[str]  # attributes of the bundle that was replaced, which the new one has not learnt
    unshown: dict[str, float]  # controls left out since pictures do not show them, each with the share that they do


def fit_face_model(
    generator_path: Path,  # the generator's weights
    detector: Detector,  # finds landmarks in its pictures
    embedder: Embedder | None,  # recognises people, so that edits keep them; without it, edits keep colours alone
    out: Path,  # the bundle's folder
    work: Path,  # where samples are kept, so that an interrupted run resumes
    plan: FitPlan = FitPlan(),
    progress: Progress = lambda stage, done, total: None,
) -> FitReport:
    """Fits a face model to a generator and writes its bundle. Takes minutes on a CPU, mostly for sampling.

    Raises GeneratorFileError, PictureError, SamplesError, GeometryError, BundleError or OSError; and DetectorError
    where the networks that read photographs are missing.
    """
    check_replaceable(out)
    before = list(attribute_sources(out))
    generator_sha256 = digest(generator_path) if is_file(generator_path) else ""  # loading it says what is missing
    generator = load_generator(generator_path, sha256=generator_sha256)
    topology = load_topology(detector.topology)
    check_control_names(topology.actions)
    given = None if plan.latents is None else read_latents(plan.latents, plan.samples)
    drawn = "normal" if plan.latents is None else sha256(plan.latents)
    recipe = Recipe(generator_sha256, detector.fingerprint, plan.seed, plan.latent, fingerprint(embedder), drawn)
    z = None if given is None else given.z
    sampled = sample(generator, detector, embedder, recipe, plan.samples, work, progress, z)
    if given is not None:
        sampled = replace(sampled, people=given.people, scenes=given.scenes)
    samples = with_faces(sampled)
    latents, W = samples.latents, samples.points
    fitted = fit(W, topology, FitOptions(plan.basis), progress=lambda i, n: progress("factor", i, n))
    shape, parameters = _about_the_pivot(fitted)
    held_out = int(_HELD_OUT * len(W))
    follow, groups = _followed(samples)
    regressor, _ = train_regressor(
        latents, W, parameters, shape, held_out, PRESETS["effigy"], plan.seed, lambda i, n: progress("regress", i, n),
        groups,
    )  # fmt: skip
    controls = name_expressions(shape, fitted.alpha, topology, samples.people)
    shape_nme = 100 * np.linalg.norm(fitted.reprojection - W, axis=1).mean(axis=1) / parameters.camera.s
    yaw, pitch, _ = angles(parameters.camera.R)
    pose_range = [float(np.degrees(np.percentile(np.abs(a), 99.0))) for a in (yaw, pitch)]
    papers, paper_nme = None, None
    if plan.paper:
        papers, paper_nme = train_regressor(
            latents, W, parameters, shape, held_out, PRESETS["paper"], plan.seed, lambda i, n: progress("paper", i, n)
        )
    looks = None
    if topology.patches:
        looks = learn_looks(
            regressor, shape, topology, samples, embedder, plan.seed, progress, follows_scenes=follow == SCENES
        )
    model = FaceModel(
        plan.name, "", generator, topology, shape, regressor, controls, (pose_range[0], pose_range[1]),
        None if looks is None else looks.appearance,
    )  # fmt: skip
    corrected = correct_by_edits(model, detector, latents[:EDITS], plan.seed, progress)
    model = model.with_regressor(corrected.regressor, model.appearance)
    measured = shares(model, detector)
    hidden = unshown(measured)
    model.controls = left_of(model.controls, hidden)
    model.controls = as_shown(model, detector, measured)
    unseen = Detected(latents[-held_out:], W[-held_out:])
    regressor_nme = error_of(corrected.regressor, unseen, shape)
    header = {
        "name": plan.name,
        "topology": topology.name,
        "topology_revision": topology.revision,
        "pose_range": pose_range,
        "report": {
            "samples": len(W), "basis": plan.basis, "seed": plan.seed, "latent": plan.latent, "edits_follow": follow,
            "shape_nme_percent": round(float(shape_nme.mean()), 3),
            "regressor_nme_percent": round(regressor_nme, 3),
        },
    }  # fmt: skip
    if depth := measure_depth(generator, corrected.regressor, shape, topology, plan.seed):
        header["depth"] = asdict(depth)
    fitted_to = generator_path, generator_sha256
    save_face_model(out, header, shape, regressor, reachable(model), looks, corrected, *fitted_to)
    if papers is not None:
        save_paper_regressor(out, papers)
    if plan.photo_people and topology.patches:
        learn_photos(out, plan.photo_people, lambda i, n: progress("photos", i, n))
    if plan.people_pictures:
        learn_people(out, plan.people_pictures, lambda i, n: progress("people", i, n))
    return FitReport(
        len(W), float(shape_nme.mean()), regressor_nme, corrected, paper_nme, shape_nme, looks, before, hidden
    )


def learn_looks(
    regressor: Regressor,
    shape: ShapeModel,
    topology: Topology,
    samples: Samples,
    embedder: Embedder | None,  # which gave the samples' vectors
    seed: int,
    progress: Progress,
    *,
    follows_scenes: bool,  # whether the regressor was fitted to latents of which it was known which show one scene
) -> Looks:
    """Trains the heads by which edits of a fitted regressor keep colours and the person.

    The topology must have patches.
    """
    appearance, known = train_appearance(
        regressor,
        shape,
        topology,
        samples.latents,
        samples.thumbnails,
        samples.vectors,
        int(_HELD_OUT * len(samples)),
        seed,
        lambda i, n: progress("looks", i, n),
        explained_axes(regressor.typical, regressor.q_scale) if follows_scenes else None,
    )
    return Looks(appearance, fingerprint(embedder), known.colours, known.identity)


def _followed(samples: Samples) -> tuple[str, NDArray[np.integer] | None]:
    """Returns what edits are to follow, one of SCENES, PEOPLE and ALL, and its number for each sample, if any."""
    if samples.scenes is not None:
        return SCENES, samples.scenes
    return (ALL, None) if samples.people is None else (PEOPLE, samples.people)


def fingerprint(embedder: Embedder | None) -> str:
    """Returns the identifier by which samples and bundles record an identity network, or that there was none."""
    return NO_NETWORK if embedder is None else embedder.fingerprint


def with_faces(samples: Samples) -> Samples:
    """Returns the samples in which a face was found. Raises SamplesError if most show none."""
    seen = np.asarray(np.isfinite(samples.points).all(axis=(1, 2)))
    if seen.mean() < _FACES:
        raise SamplesError(
            f"the detector sees a face in only {seen.sum()} of {len(seen)} pictures: "
            "does this generator paint faces, and is the detector made for them?"
        )
    return samples.where(seen)


def _about_the_pivot(fitted: FitResult) -> tuple[ShapeModel, Parameters]:
    """Returns the fit with its origin at the pivot: the point of the head that turning moves least in the picture."""
    shape, camera = shift_origin(fitted.model, fitted.camera, pivot(fitted.camera))
    return shape, Parameters(camera, fitted.alpha)
