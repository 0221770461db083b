# SPDX-License-Identifier: Apache-2.0
"""Adds the heads that keep looks, and the correction of the regressor, to a fitted face model without a new fit."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from effigy_protocol.files import whole_folder

from ..editing.correction import Corrected, Detected, error_of
from ..faces.about import fit_seed, follows_scenes, looks_network
from ..faces.bundle import load_face_model, replace_learnt
from ..faces.embedded import generator_of
from ..faces.face import FaceModel
from ..faces.header import FORMAT, BundleError, sha256
from ..faces.looks import NO_NETWORK, Looks
from ..faces.replacing import check_replaceable
from ..landmarks import Detector
from ..recognition import Embedder
from .fit import fingerprint, learn_looks, with_faces
from .photo_learning import PEOPLE, learn_photos
from .practice import EDITS, correct_by_edits
from .reach import reachable
from .samples import NO_DETECTOR, Latent, Progress, Recipe, Samples, latents_of_samples, sample
from .showing import as_shown, shares

_LOOKED_AT = 500  # pictures on which a detector is compared with that of the fit
_WORST = 10.0  # percent of the outer-eye distance: larger errors mean that the detector is not that of the fit
_OUTDATED = ("report", "*.part")  # files of the old bundle that do not apply to the new one


def refine(
    bundle: Path,  # the face model's folder; it stays as it is
    detector: Detector | None,  # that of its fit; without it the regressor is not corrected
    embedder: Embedder | None,  # as for ``fit_face_model``
    out: Path,  # the new bundle's folder, which must not exist
    work: Path,  # where samples are kept, so that an interrupted run resumes
    samples: int = 20_000,  # pictures to train the heads on
    progress: Progress = lambda stage, done, total: None,
    photo_people: int = PEOPLE,  # people painted to learn the photo map again, if the bundle has one; 0: it stays
    edits: int = EDITS,  # pictures of edits to correct the regressor by
) -> tuple[Looks | None, Corrected | None]:
    """Trains on pictures that the bundle's generator paints, and writes a new bundle with what was learnt.

    Heads of the same recognition network are kept, as the fit may have had more pictures, and an earlier correction is
    kept if the new one is no better. With a detector it is measured how much of each control pictures show. Ranges end
    where these edits stop. The photo map depends on edits, so it is learnt again. The new bundle is written whole or
    not at all. Raises BundleError, GeneratorFileError, SamplesError, DetectorError or OSError.
    """
    if out.exists():
        raise BundleError(f"{out} is there already: remove it, or name another folder")
    check_replaceable(out)
    model = load_face_model(bundle, as_format=FORMAT)  # so that edits are those of the new bundle
    if not model.topology.patches:
        raise BundleError(f"{bundle} has {model.topology.name} landmarks, which are not a face's: nothing can be added")
    if detector is not None and detector.topology != model.topology.name:
        raise BundleError(
            f"{bundle} has {model.topology.name} landmarks, and this detector finds {detector.topology}: "
            "name the detector of its fit with --landmarks"
        )
    has_looks = model.appearance is not None and (looks_network(bundle) or NO_NETWORK) == fingerprint(embedder)
    if has_looks and detector is None:
        raise BundleError(
            f"edits with {bundle} hold what this identity network can teach already: name another with --identity, "
            "or the detector of its fit with --landmarks"
        )
    seed = fit_seed(bundle)
    latent: Latent = "w" if model.regressor.rows == 1 else "w+"
    seer = NO_DETECTOR if detector is None else detector.fingerprint
    teacher = None if has_looks else embedder
    recipe = Recipe(sha256(generator_of(str(bundle))), seer, seed, latent, fingerprint(teacher))
    count = min(samples, _LOOKED_AT) if has_looks else samples
    sampled = sample(model.generator, detector, teacher, recipe, count, work, progress)
    looks = None
    if not has_looks:
        looks = learn_looks(
            model.regressor, model.shape, model.topology, sampled, embedder, seed, progress,
            follows_scenes=follows_scenes(bundle),
        )  # fmt: skip
        model.appearance = looks.appearance
    corrected = None
    if detector is not None:
        _check_detector(model, with_faces(sampled))
        people = latents_of_samples(model.generator, seed, latent, edits)
        corrected = correct_by_edits(model, detector, people, seed, progress)
        model = model.with_regressor(corrected.regressor, model.appearance)
        model.controls = as_shown(model, detector, shares(model, detector))
    with whole_folder(out) as temporary:
        shutil.copytree(bundle, temporary, ignore=shutil.ignore_patterns(*_OUTDATED))
        temporary.chmod(temporary.stat().st_mode | stat.S_IRWXU)  # an installed bundle may be read-only
        replace_learnt(temporary, looks, corrected, reachable(model))
        if photo_people and model.photo_map is not None:
            learn_photos(temporary, photo_people, lambda done, total: progress("photos", done, total))
    return looks, corrected


def _check_detector(model: FaceModel, samples: Samples) -> None:
    """Raises BundleError unless the model's regressor predicts the points in ``samples`` about as in its fit."""
    error = error_of(model.regressor, Detected(samples.latents, samples.points), model.shape)
    if error > _WORST:
        raise BundleError(
            f"this detector sees other points than the model was fitted to ({error:.0f} % of the outer-eye distance "
            "apart): name the detector of its fit with --landmarks"
        )
