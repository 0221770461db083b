# SPDX-License-Identifier: Apache-2.0
"""``effigy bundle``: what is done to a face model that is fitted already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from effigy_protocol.files import beside

from .console import Console, fail, stage_progress
from .options import IdentityOption, open_detector, open_embedder
from .values import read_pairs

bundle = typer.Typer(help="Face models that are fitted already.", no_args_is_help=True)


@bundle.command()
def refine(
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or 'default' or 'first-default'.")],
    out: Annotated[Path, typer.Option(help="The new bundle's folder, which must not be there yet.")],
    landmarks: Annotated[
        str,
        typer.Option(
            help="The detector of its fit, as for 'fit', by which the regressor is corrected; none, or auto: embedded "
            "where the generator is, else none."
        ),
    ] = "auto",
    identity: IdentityOption = "auto",
    samples: Annotated[int, typer.Option(min=1000, help="Pictures to make and learn from.")] = 20_000,
    edits: Annotated[int, typer.Option(min=100, help="Pictures of edits to correct the regressor by.")] = 2000,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for the samples, so that a stopped run can resume; OUT.samples."),
    ] = None,
) -> None:
    """Teach a face model of an earlier Effigy to keep colours and the person in edits, without a new fit.

    With the detector of its fit, also correct its regressor by pictures of edits, which then turn and move as far as
    asked. With another identity network, learn to keep the person anew. BUNDLE stays as it is.
    """
    from ..faces import BundleError, embedded_bundle, generator_of, is_bundle, resolve_bundle
    from ..fitting.refining import refine as run
    from ..fitting.samples import SamplesError
    from ..generators import GeneratorFileError
    from ..landmarks import DetectorError

    if not is_bundle(name):
        raise fail(f"{name} is not a face model (no model.json): choose a folder that 'effigy fit' wrote")
    try:
        with stage_progress() as progress:
            source = generator_of(name)
            if landmarks == "auto":
                landmarks = "none" if embedded_bundle(source) is None else "embedded"
            detector = None if landmarks == "none" else open_detector(landmarks, name)
            embedder = open_embedder(identity, source)
            folder = work or beside(out, ".samples")
            looks, corrected = run(
                resolve_bundle(name), detector, embedder, out, folder, samples, progress, edits=edits
            )
    except (BundleError, DetectorError, GeneratorFileError, SamplesError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} or its samples cannot be written or read ({error})") from None
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"edits hold {'what they held' if looks is None else looks}", markup=False)
    if corrected is None:
        console.print("the regressor is as it was: --landmarks names the detector of its fit, by which it is corrected")
    else:
        console.print(f"the regressor's error in edits: {corrected.edits_before:.2f} → {corrected.edits:.2f} %")
    console.print(f"{out}: effigy evaluate {out} measures it.", markup=False)


@contextmanager
def _learning(name: str, stage: str) -> Iterator[tuple[Path, Callable[[int, int], None]]]:
    """Yields the folder of the bundle ``name`` and what shows how far a ``stage`` is; fails with what goes wrong."""
    from ..faces import BundleError, resolve_bundle
    from ..fitting.attribute_sources import SourceError
    from ..generators import GeneratorFileError, PictureError
    from ..landmarks import DetectorError
    from ..recognition import IdentityFileError

    try:
        with stage_progress() as progress:
            yield resolve_bundle(name), lambda done, total: progress(stage, done, total)
    except (BundleError, DetectorError, GeneratorFileError, IdentityFileError, PictureError, SourceError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{name} cannot be written ({error}): copy it to a place of yours") from None


@bundle.command("learn-photos")
def learn_photos(
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or 'default' or 'first-default'.")],
    people: Annotated[int, typer.Option(min=20, help="People to paint and read, 8 pictures of each.")] = 360,
) -> None:
    """Let a face model learn how photographs show its controls, from pictures that it paints itself.

    The result is stored in BUNDLE, in which everything else stays. A fit does this by itself.
    """
    from ..fitting.photo_learning import learn_photos as run

    with _learning(name, "photos") as (folder, progress):
        found = run(folder, people, progress)
    if found is None:
        raise fail(f"{name} paints no photographic faces: nothing can be learnt", 1)
    known = ", ".join(f"{control} {value:.2f}" for control, value in found.correlations.items())
    Console(soft_wrap=True, highlight=False).print(
        f"{name} reads photographs, with correlations of {known}", markup=False
    )


@bundle.command("learn-people")
def learn_people(
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or 'default' or 'first-default'.")],
    pictures: Annotated[int, typer.Option(min=100, help="Pictures to paint and learn from.")] = 2000,
) -> None:
    """Let a face model learn to make people of pictures, from pictures that it paints itself: see 'effigy photo'.

    The result is stored in BUNDLE, in which everything else stays. A fit does this by itself.
    """
    from ..fitting.encoder_learning import learn_people as run

    with _learning(name, "people") as (folder, progress):
        run(folder, pictures, progress)
    Console(soft_wrap=True, highlight=False).print(f"{name} makes people of pictures: effigy photo", markup=False)


@bundle.command("learn-attributes")
def learn_attributes(
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or 'default' or 'first-default'.")],
    add: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SOURCE",
            help="An attribute, several times. SOURCE: sefa:N; InterFaceGAN's FILE.npy; GANSpace's FILE.npz:N or "
            "FILE.pt:N; labels FILE.csv or FILE.csv:COLUMN. @FIRST-LAST behind it keeps to these rows of w+.",
        ),
    ] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Take one out; several times.")] = None,
    people: Annotated[int, typer.Option(min=4, help="People to paint, seven pictures of each for an attribute.")] = 32,
) -> None:
    """Let a face model learn attributes: sliders that change looks, and neither pose nor expression.

    Without --add and --remove: SeFa's first components, as look1 to look6. They are stored in BUNDLE, in which
    everything else stays, its id too. See docs/people.md.
    """
    from ..fitting.attribute_learning import learn_attributes as run

    sources = read_pairs("--add", add or (), "NAME=SOURCE", "age=age.npy")
    with _learning(name, "looks") as (folder, progress):
        found = run(folder, sources, remove or (), people, progress)
    console = Console(soft_wrap=True, highlight=False)
    for each in found:
        moved = f"at ±2 pose moves by {each.pose:.2f}°, controls by {each.controls:.3f}"
        notes = [note for note in (each.note, moved if each.pose == each.pose else "") if note]
        console.print(f"{each.attribute.name}: {'; '.join(notes) or 'learnt'}", markup=False)
    console.print(f"{name}: effigy sheet --model {name} --set NAME=-2:2:5 shows one", markup=False)


@bundle.command()
def export(
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or 'default'.")],
    out: Annotated[Path, typer.Option(help="The file to write, for instance my-face.effigy.zip.")],
) -> None:
    """Write a face model to one file to share, without the generator's weights. 'bundle add' opens it."""
    from ..faces import BundleError, resolve_bundle
    from ..faces.sharing import export_bundle

    try:
        export_bundle(resolve_bundle(name), out)
    except BundleError as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} cannot be written ({error})") from None
    Console(soft_wrap=True, highlight=False).print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB", markup=False)


@bundle.command()
def add(
    file: Annotated[Path, typer.Argument(help="What 'bundle export' wrote.")],
    generator: Annotated[str, typer.Option(help="Your own file of the generator that it was fitted to, or its name.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder to write, for instance my-face.effigy.")],
) -> None:
    """Make a face model of a shared fit and of the generator's weights, which you have."""
    from ..faces import BundleError, generator_of
    from ..faces.sharing import add_bundle
    from ..generators import GeneratorFileError

    try:
        add_bundle(file, generator_of(generator), out)
    except (BundleError, GeneratorFileError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(f"{out} cannot be written ({error})") from None
    Console(soft_wrap=True, highlight=False).print(f"{out}: set it as Model in Blender", markup=False)
