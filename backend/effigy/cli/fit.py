# SPDX-License-Identifier: Apache-2.0
"""``effigy fit``: a face model for a generator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from effigy_protocol.files import beside, is_folder, is_there

from .console import Console, fail, stage_progress
from .options import GENERATOR, IdentityOption, LandmarksOption, open_detector, open_embedder


def fit(
    generator: Annotated[str, typer.Option(help=GENERATOR)],
    out: Annotated[Path, typer.Option(help="The bundle's folder to write, for instance my-face.effigy.")],
    landmarks: LandmarksOption = "embedded",
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for the pictures' landmarks, so that a stopped fit can resume; OUT.samples."),
    ] = None,
    samples: Annotated[int, typer.Option(min=1000, help="Pictures to make and measure.")] = 8000,
    basis: Annotated[int, typer.Option(min=1, help="Deformations of the shape model.")] = 16,
    latent: Annotated[str, typer.Option(help="What the regressor reads: w, or w+ for real photos.")] = "w",
    paper: Annotated[bool, typer.Option(help="Also train the paper's regressor, for comparison.")] = False,
    name: Annotated[str | None, typer.Option(help="The model's name for users.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the sampled latents.")] = 0,
    identity: IdentityOption = "auto",
    latents: Annotated[
        Path | None,
        typer.Option(
            help="An .npz with an array z: the latents to sample, if random ones seldom show expressions. An optional "
            "array people numbers the person that each shows, which keeps looks out of controls, and scenes those that "
            "differ in pose and expression alone, which keeps looks out of edits."
        ),
    ] = None,
) -> None:
    """Fit a face model to a generator: sample, detect landmarks, factor, regress, learn what keeps looks.

    Writes OUT/report/ as well.
    """
    from ..faces import BundleError, generator_of, load_face_model
    from ..fitting.fit import FitPlan, fit_face_model
    from ..fitting.report import write_report
    from ..fitting.samples import SamplesError
    from ..generators import GeneratorFileError
    from ..geometry import GeometryError
    from ..landmarks import DetectorError

    detector = open_detector(landmarks)
    if is_there(out) and not is_folder(out):
        raise fail(f"{out} is a file: --out names the folder of a bundle")
    if latent not in ("w", "w+"):
        raise fail(f"unknown latent {latent!r}: use w or w+")
    plan = FitPlan(name or out.stem, samples, basis, latent, paper, seed, latents)  # type: ignore[arg-type]
    try:
        with stage_progress() as progress:
            folder, source = work or beside(out, ".samples"), generator_of(generator)
            embedder = open_embedder(identity, source)
            report = fit_face_model(source, detector, embedder, out, folder, plan, progress)
            try:
                model = load_face_model(out)
                write_report(model, detector, report, out / "report", lambda i, n: progress("report", i, n))
            except (BundleError, OSError) as error:
                raise fail(f"{out} is complete, but its report cannot be written: {error}") from None
    except (BundleError, DetectorError, GeneratorFileError, GeometryError, SamplesError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} or its samples cannot be written or read ({error})") from None
    console = Console(soft_wrap=True, highlight=False)
    if report.looks is not None:
        console.print(f"edits hold {report.looks}", markup=False)
    if report.dropped:
        console.print(
            f"{out} had the attributes {', '.join(report.dropped)}, which a fit does not carry over: learn them again "
            f"with 'effigy bundle learn-attributes {out}'",
            markup=False,
        )
    if report.unshown:
        console.print(
            f"{', '.join(report.unshown)}: left out, as pictures hardly show what is asked of "
            f"{'it' if len(report.unshown) == 1 else 'them'}; people who do are needed among the samples (--latents)",
            markup=False,
        )
    console.print(f"{out}: {out / 'report' / 'report.md'} says how good it is; effigy evaluate {out} measures more.")
