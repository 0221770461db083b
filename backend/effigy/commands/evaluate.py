# SPDX-License-Identifier: Apache-2.0
"""``effigy evaluate``: evaluates a face model, with networks that were not trained with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..editing import METHODS
from ..faces import (
    describe_correction,
    describe_looks,
    embedded_bundle,
    generator_of,
    landmarks_note,
    load_face_model,
    load_paper_regressor,
    looks_network,
    resolve_bundle,
)
from ..fitting.drift import NO_SHADING, Shading
from ..fitting.evaluation import PAPER, Judge, Scores, compare
from ..landmarks import Detector
from ..recognition import load_embedder

_EMBEDDED = ("judge", "embedded")  # networks that know the embedded generator's people alone


class EvaluationError(Exception):
    """An evaluation that is impossible with these arguments; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of evaluating a bundle."""

    scores: dict[str, Scores]  # by method of the inverse
    holds: str  # which looks edits keep, in words
    correction: str  # how its edits corrected the regressor, in words
    note: str  # what is wrong with the bundle, or ""
    recogniser: str | None  # the fingerprint of the recognition network that compared people, if there was one
    independent: bool  # whether the fit has not used that network


def evaluate_bundle(
    name: str,  # a bundle's folder, or an embedded one's name
    detector: Detector,
    methods: str | None,  # by commas; None: all
    identity: str | None,  # a name of ``load_embedder``; None: the judge, where it knows the people
    identities: int,
    seed: int,  # of the first of them
    keep: float,  # weight of the identity term in the methods that take one
    progress: Callable[[str, int, int], None],
) -> Evaluation:
    """Evaluates a bundle. Raises BundleError, GeneratorFileError, IdentityFileError or EvaluationError."""
    folder = resolve_bundle(name)
    model = load_face_model(folder)
    papers = load_paper_regressor(folder) if methods is None or PAPER in methods else None
    chosen = _methods(methods, has_papers=papers is not None)
    known = embedded_bundle(generator_of(name))  # whose networks know the people
    if identity in _EMBEDDED and known is None:
        raise EvaluationError(f"{identity} knows the embedded generators' people alone: give ArcFace's weights")
    if identity is None and known is not None:
        identity = "judge"
    device, networks = model.generator.device, known or folder
    recogniser = load_embedder(identity, networks, device) if identity else None
    keeper = load_embedder("embedded", networks, device) if known and identity == "judge" else recogniser
    shading = _shading(known) if known else NO_SHADING
    judge = Judge(detector, recogniser, identities, seed, shading, keeper, keep)
    scores = compare(model, judge, chosen, papers, progress)
    return Evaluation(
        scores,
        describe_looks(folder),
        describe_correction(folder),
        landmarks_note(folder),
        None if recogniser is None else recogniser.fingerprint,
        recogniser is None or recogniser.fingerprint != looks_network(folder),
    )


def _methods(asked: str | None, *, has_papers: bool) -> list[str]:
    known = [*METHODS, *([PAPER] if has_papers else [])]
    chosen = known if asked is None else asked.split(",")
    if unknown := set(chosen) - set(known):
        why = "; this bundle was fitted without --paper" if PAPER in unknown else ""
        raise EvaluationError(f"unknown method {', '.join(sorted(unknown))}: use {', '.join(known)}{why}")
    return chosen


def _shading(embedded: Path) -> Shading:
    path = embedded / "shading.json"
    try:
        return Shading.from_file(path)
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(f"{path} cannot be read ({error}): install Effigy again") from None
