# SPDX-License-Identifier: Apache-2.0
"""Gives a face model that was fitted before the heads that hold looks, without fitting it again."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from ..faces.bundle import BundleError, add_appearance, fit_seed, generator_of, load_face_model, sha256
from ..faces.looks import NO_NETWORK, Looks
from ..recognition import Embedder
from .fit import fingerprint, learn_looks
from .samples import Latent, Progress, Recipe, sample

_TELLS_OF_THE_OLD = ("report", "*.part")  # what shows or holds edits of before


def refine(
    bundle: Path,  # the face model's folder; it stays as it is
    embedder: Embedder | None,  # as for ``fit_face_model``
    out: Path,  # the folder of the new one, which must not be there
    work: Path,  # where samples are kept, so that an interrupted run resumes
    samples: int = 20_000,  # pictures
    progress: Progress = lambda stage, done, total: None,
) -> Looks:
    """Learns the heads on pictures that the bundle's generator paints, and writes a bundle that has them.

    It is written as a whole or not at all. Raises BundleError, GeneratorFileError, SamplesError or OSError.
    """
    if out.exists():
        raise BundleError(f"{out} is there already: remove it, or name another folder")
    model = load_face_model(bundle)
    if not model.topology.patches:
        raise BundleError(f"{bundle} has {model.topology.name} landmarks, which are not a face's: nothing can be added")
    seed = fit_seed(bundle)
    latent: Latent = "w" if model.regressor.rows == 1 else "w+"
    recipe = Recipe(sha256(generator_of(str(bundle))), NO_NETWORK, seed, latent, fingerprint(embedder))
    sampled = sample(model.generator, None, embedder, recipe, samples, work, progress)
    looks = learn_looks(model.regressor, model.shape, model.topology, sampled, embedder, seed, progress)
    assert looks is not None
    temporary = out.with_name(out.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    try:
        shutil.copytree(bundle, temporary, ignore=shutil.ignore_patterns(*_TELLS_OF_THE_OLD))
        temporary.chmod(temporary.stat().st_mode | stat.S_IRWXU)  # an installed bundle may be read-only
        add_appearance(temporary, looks)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return looks
