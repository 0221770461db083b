# SPDX-License-Identifier: Apache-2.0
"""``effigy nrsfm``: landmark tracks to cameras and a deformable shape."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Console, errors, fail, note, stage_progress

BAD_NME = 10.0  # percent: detectors' noise is one or two


def nrsfm(
    tracks: Annotated[Path, typer.Argument(help="An .npz with W [N, 2, L] and optionally vis.")],
    out: Annotated[Path, typer.Option(help="The .npz to write.")] = Path("fit.npz"),
    basis: Annotated[int, typer.Option(min=1, help="Deformations K.")] = 24,
    mode: Annotated[str, typer.Option(help="linear, rankone or rankone-paper.")] = "linear",
    calibration: Annotated[str, typer.Option(help="For rankone-paper: meanrot, quan, x45, z45 or none.")] = "meanrot",
    sweeps: Annotated[int, typer.Option(min=1, help="Sweeps of EM, or of alternating least squares.")] = 50,
    robust: Annotated[
        bool | None,
        typer.Option(
            "--robust/--plain", help="Whether to tolerate outliers; by default this is decided by a test for them."
        ),
    ] = None,
    topology: Annotated[str | None, typer.Option(help="The landmark set; by default the one with L landmarks.")] = None,
    infer: Annotated[Path | None, typer.Option(help="A fit whose basis is held fixed for these views.")] = None,
) -> None:
    """Factor landmark tracks into cameras and a deformable 3D shape."""
    from ..commands.nrsfm import fit_tracks, infer_tracks
    from ..geometry import FitOptions, GeometryError

    try:
        if infer is not None:
            report = infer_tracks(tracks, infer, out, robust)
        else:
            options = FitOptions(basis, sweeps, robust, mode, calibration)  # type: ignore[arg-type]
            with stage_progress() as progress:
                report = fit_tracks(tracks, out, options, topology, lambda done, total: progress("fit", done, total))
    except GeometryError as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} cannot be written ({error}): choose another place with --out") from None
    Console().print_json(data={"out": str(out), **{key: report[key] for key in report if key != "objective"}})
    for text in report["notes"]:
        note(text)
    if report["nme_percent"] > BAD_NME:
        errors.print(
            f"effigy: warning: the shape explains the points badly ({report['nme_percent']:.0f} % of the outer-eye "
            "distance): are they landmarks of this topology, in one order?",
            style="yellow", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
