# SPDX-License-Identifier: Apache-2.0
"""``effigy evaluate``: how good a face model is."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import Console, fail, note, stage_progress
from .options import EMBEDDED, LandmarksOption, open_detector


def evaluate(
    bundle: Annotated[str, typer.Argument(help=f"A bundle's folder, {EMBEDDED}.")] = "default",
    identities: Annotated[int, typer.Option(min=1, help="Unseen people to edit.")] = 24,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    methods: Annotated[
        str | None,
        typer.Option(help="Inverses to compare, separated by commas; the first is the product's. All by default."),
    ] = None,
    landmarks: LandmarksOption = "embedded",
    identity: Annotated[
        str | None,
        typer.Option(
            help="The network that compares people: ArcFace's weights; judge (by default, where the generator is the "
            "embedded one) or embedded."
        ),
    ] = None,
    keep: Annotated[float, typer.Option(min=0, help="Weight of the identity term in alternating and gradient.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the first person.")] = 1_000_000,
) -> None:
    """Compare the requested poses and expressions with what the pictures show."""
    from ..commands.evaluate import EvaluationError, evaluate_bundle
    from ..commands.tables import drift_table, scores_table
    from ..faces import BundleError
    from ..fitting.evaluation import report
    from ..generators import GeneratorFileError
    from ..recognition import IdentityFileError

    detector = open_detector(landmarks, bundle)
    try:
        with stage_progress() as progress:
            found = evaluate_bundle(bundle, detector, methods, identity, identities, seed, keep, progress)
    except (BundleError, EvaluationError, GeneratorFileError, IdentityFileError) as error:
        raise fail(error) from None
    if json:
        Console(soft_wrap=True).print_json(
            data=report(found.scores)
            | {"holds": found.holds, "correction": found.correction, "judge": found.recogniser}
        )
        return
    console = Console()
    console.print(scores_table(found.scores))
    first = next(iter(found.scores.values()))
    for title, looks in (("drift of 255, frontal", first.looks), ("turned", first.looks_turned)):
        if looks is not None:
            console.print(drift_table(title, looks))
    console.print(f"edits hold {found.holds}", markup=False, soft_wrap=True, highlight=False)
    console.print(f"the regressor is {found.correction}", markup=False, soft_wrap=True, highlight=False)
    who = "no identity network judged" if found.recogniser is None else f"{found.recogniser} judged identity"
    console.print(who, markup=False, soft_wrap=True, highlight=False)
    if found.note:
        note(found.note)
    if not found.independent:
        console.print(
            "the identity network is the one by which edits hold the person: no independent judge", soft_wrap=True
        )
