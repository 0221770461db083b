# SPDX-License-Identifier: Apache-2.0
"""The command line. Every command is a thin shell around a function that can be imported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

# How long a waiting thread spins before it sleeps. Without a bound, shared cores make a picture several times
# slower; without any spinning it takes 1.4 times as long (docs/benchmarks.md).
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import typer
from rich.console import Console

from . import cli_bundles, cli_generators
from .console import errors, fail, stage_progress
from .memory import keep_freed_memory

if TYPE_CHECKING:
    from .landmarks import Detector

app = typer.Typer(
    help="Poses the faces of a StyleGAN in 3D. Blender's add-on starts 'effigy serve' by itself; begin with "
    "'effigy doctor'. For a generator of your own: 'models fetch' or a file, then 'fit', then 'evaluate'.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its box around an error would leave no last line that says what is wrong
)
app.add_typer(cli_bundles.bundle, name="bundle")
app.add_typer(cli_generators.models, name="models")
app.add_typer(cli_generators.bench, name="bench")

BAD_NME = 10.0  # percent: detectors' noise is one or two
LandmarksOption = Annotated[
    str,
    typer.Option(
        help="The detector: embedded (68 points, for the embedded default's pictures), photo (478 points of any "
        "photographic face), face-alignment, or the path of a mediapipe .task file."
    ),
]
EMBEDDED = "or 'default' for the embedded one, 'first-default' for the one before"
ModelOption = Annotated[str, typer.Option(help=f"A bundle's folder, {EMBEDDED}.")]


@app.callback()
def prepare() -> None:
    keep_freed_memory()


@app.command()
def serve(
    model: ModelOption = "default",
    host: Annotated[str, typer.Option(help="A loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes any free one.")] = 0,
    connection_file: Annotated[Path | None, typer.Option(help="Where to write how to connect (mode 0600).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    parent_pid: Annotated[int | None, typer.Option(min=1, help="Leave when this process is gone.")] = None,
    idle_exit: Annotated[
        float, typer.Option(min=0, help="Leave after so many seconds without a client; 0: never.")
    ] = 0.0,
    log_folder: Annotated[
        Path | None,
        typer.Option(
            envvar="EFFIGY_LOG_FOLDER", help="Keep the log in a new file there, of bounded size, not on stderr."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log more.")] = False,
) -> None:
    """Run the backend that Blender talks to, until Ctrl-C."""
    from .generators import GeneratorFileError
    from .generators.load import resolve_device
    from .models import resolve_bundle
    from .service.endpoint import EndpointError
    from .service.logs import configure_logs
    from .service.serve import ServeOptions, ServiceError, end_now
    from .service.serve import serve as run

    try:
        configure_logs(verbose=verbose, folder=log_folder)
    except OSError as error:
        raise fail(f"the log cannot be written ({error}): choose another --log-folder") from None
    options = ServeOptions(resolve_bundle(model), host, port, connection_file, device, parent_pid, idle_exit)
    try:
        resolve_device(device)
        run(options)
    except (GeneratorFileError, EndpointError) as error:
        raise fail(error) from None
    except ServiceError as error:
        ended = fail(error, error.exit_code)
        if error.is_stuck:
            end_now(error.exit_code)
        raise ended from None
    except OSError as error:
        raise fail(f"the connection file cannot be written ({error}): choose another with --connection-file") from None


@app.command()
def fit(
    generator: Annotated[str, typer.Option(help=cli_generators.GENERATOR)],
    out: Annotated[Path, typer.Option(help="The bundle's folder to write, for instance my-face.effigy.")],
    landmarks: LandmarksOption = "embedded",
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for the pictures' landmarks, so that a fit that was stopped goes on; OUT.samples."),
    ] = None,
    samples: Annotated[int, typer.Option(min=1000, help="Pictures to make and measure.")] = 8000,
    basis: Annotated[int, typer.Option(min=1, help="Deformations of the shape model.")] = 16,
    latent: Annotated[str, typer.Option(help="What the regressor reads: w, or w+ for real photos.")] = "w",
    paper: Annotated[bool, typer.Option(help="Train the paper's regressor too, to compare with.")] = False,
    name: Annotated[str | None, typer.Option(help="The model's name as users see it.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampled latents.")] = 0,
    identity: cli_bundles.IdentityOption = "auto",
    latents: Annotated[
        Path | None,
        typer.Option(help="An .npz with an array z: the people to sample, where random ones seldom show expressions."),
    ] = None,
) -> None:
    """Fit a face model to a generator: sample, detect landmarks, factor, regress, learn what keeps looks.

    Writes OUT/report/ as well.
    """
    from .generators import GeneratorFileError
    from .geometry import GeometryError
    from .models import BundleError, generator_of, load_face_model
    from .models.fitting import FitPlan, fit_face_model
    from .models.report import write_report
    from .models.samples import SamplesError

    detector = open_detector(landmarks)
    if out.exists() and not out.is_dir():
        raise fail(f"{out} is a file: --out names the folder of a bundle")
    if latent not in ("w", "w+"):
        raise fail(f"unknown latent {latent!r}: use w or w+")
    plan = FitPlan(name or out.stem, samples, basis, latent, paper, seed, latents)  # type: ignore[arg-type]
    try:
        with stage_progress() as progress:
            folder, source = work or out.with_name(out.name + ".samples"), generator_of(generator)
            embedder = cli_bundles.open_embedder(identity, source)
            report = fit_face_model(source, detector, embedder, out, folder, plan, progress)
            try:
                model = load_face_model(out)
                write_report(model, detector, report, out / "report", lambda i, n: progress("report", i, n))
            except (BundleError, OSError) as error:
                raise fail(f"{out} is complete, but its report cannot be written: {error}") from None
    except (BundleError, GeneratorFileError, GeometryError, SamplesError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} or its samples cannot be written or read ({error})") from None
    console = Console(soft_wrap=True, highlight=False)
    if report.looks is not None:
        console.print(f"edits hold {report.looks}", markup=False)
    console.print(f"{out}: {out / 'report' / 'report.md'} says how good it is; effigy evaluate {out} measures more.")


@app.command()
def evaluate(
    bundle: Annotated[str, typer.Argument(help=f"A bundle's folder, {EMBEDDED}.")] = "default",
    identities: Annotated[int, typer.Option(min=1, help="Unseen people to edit.")] = 24,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    methods: Annotated[
        str | None, typer.Option(help="Inverses to compare, by commas; the first is the product's. All by default.")
    ] = None,
    landmarks: LandmarksOption = "embedded",
    identity: Annotated[
        str | None,
        typer.Option(
            help="What tells people apart: ArcFace's weights; judge (by default, where the generator is the embedded "
            "one) or embedded."
        ),
    ] = None,
    keep: Annotated[float, typer.Option(min=0, help="Weight of the identity term in alternating and gradient.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the first of the people.")] = 1_000_000,
) -> None:
    """Compare what was asked of a face model with what its pictures show."""
    from .commands.evaluate import EvaluationError, evaluate_bundle
    from .commands.tables import drift_table, scores_table
    from .generators import GeneratorFileError
    from .identity import IdentityFileError
    from .models import BundleError
    from .models.evaluation import report

    detector = open_detector(landmarks, bundle)
    try:
        with stage_progress() as progress:
            found = evaluate_bundle(bundle, detector, methods, identity, identities, seed, keep, progress)
    except (BundleError, EvaluationError, GeneratorFileError, IdentityFileError) as error:
        raise fail(error) from None
    if json:
        Console(soft_wrap=True).print_json(
            data=report(found.scores) | {"holds": found.holds, "judge": found.recogniser}
        )
        return
    console = Console()
    console.print(scores_table(found.scores))
    first = next(iter(found.scores.values()))
    for title, looks in (("drift of 255, frontal", first.looks), ("turned", first.looks_turned)):
        if looks is not None:
            console.print(drift_table(title, looks))
    console.print(f"edits hold {found.holds}", markup=False, soft_wrap=True, highlight=False)
    if found.note:
        errors.print(f"effigy: note: {found.note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if not found.independent:
        console.print(
            "the identity network is the one by which edits hold the person: no independent judge", soft_wrap=True
        )


@app.command()
def nrsfm(
    tracks: Annotated[Path, typer.Argument(help="An .npz with W [N, 2, L] and optionally vis.")],
    out: Annotated[Path, typer.Option(help="The .npz to write.")] = Path("fit.npz"),
    basis: Annotated[int, typer.Option(min=1, help="Deformations K.")] = 24,
    mode: Annotated[str, typer.Option(help="linear, rankone or rankone-paper.")] = "linear",
    calibration: Annotated[str, typer.Option(help="Of rankone-paper: meanrot, quan, x45, z45 or none.")] = "meanrot",
    sweeps: Annotated[int, typer.Option(min=1, help="Of EM, or of alternating least squares.")] = 50,
    robust: Annotated[
        bool | None, typer.Option("--robust/--plain", help="Bear outliers, or not; by default looks for them.")
    ] = None,
    topology: Annotated[str | None, typer.Option(help="The landmark set; by default the one with L landmarks.")] = None,
    infer: Annotated[Path | None, typer.Option(help="A fit whose basis is held fixed for these views.")] = None,
) -> None:
    """Factor landmark tracks into cameras and a deformable 3D shape."""
    from .commands.nrsfm import fit_tracks, infer_tracks
    from .geometry import FitOptions, GeometryError

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
    for note in report["notes"]:
        errors.print(f"effigy: note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if report["nme_percent"] > BAD_NME:
        errors.print(
            f"effigy: warning: the shape explains the points badly ({report['nme_percent']:.0f} % of the outer-eye "
            "distance): are they landmarks of this topology, in one order?",
            style="yellow", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip


@app.command()
def doctor(
    model: ModelOption = "default",
    port: Annotated[int, typer.Option(help="The port that you mean to use; 0: any.")] = 0,
) -> None:
    """Say what works here, and how to mend what does not."""
    from .commands.doctor import examine
    from .models import resolve_bundle

    console = Console(soft_wrap=True, highlight=False)
    findings = examine(resolve_bundle(model), port)
    for finding in findings:
        mark = "[green]ok   [/]" if finding.ok else "[bold red]wrong[/]"
        console.print(f"{mark} {finding.name:<8} ", end="")
        console.print(finding.detail, markup=False)
        if not finding.ok:
            console.print(f"      → {finding.mend}", markup=False)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def open_detector(name: str, bundle: str = "default") -> Detector:
    """The landmark detector called ``name``; "embedded" is the one that finds what ``bundle`` was fitted to."""
    from .landmarks import DetectorError, load_detector
    from .models import BundleError, embedded_detector, resolve_bundle

    try:
        return load_detector(name, embedded_detector(resolve_bundle(bundle)))
    except (BundleError, DetectorError) as error:
        raise fail(error) from None
