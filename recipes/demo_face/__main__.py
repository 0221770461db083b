# SPDX-License-Identifier: Apache-2.0
"""The command line, ``python -m recipes.demo_face COMMAND``. Each command calls a function of another module."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import imageio.v3 as iio
import numpy as np
import torch
import typer
from rich.progress import Progress

from effigy.faces import BundleError, embedded_bundle, embedded_detector, generator_of, load_face_model, resolve_bundle
from effigy.fitting.evaluation import Judge
from effigy.generators import GeneratorFileError
from effigy.generators.load import save_generator
from effigy.landmarks import DetectorError, load_detector
from effigy.memory import keep_freed_memory
from effigy.recognition import IdentityFileError, load_embedder

from .bake import bake as bake_assets
from .bake import load_assets, save_assets
from .blend import blended
from .dataset import contact_sheet, paint_set, pair_vectors, people_vectors, render_set
from .exchange import exchange
from .fairness import fairness
from .gallery import gallery
from .labels import write_labels
from .latents import SCENE, TRUNCATION, drawn, drawn_evenly, latents_of
from .parameters import people_of, sample
from .renderer import Renderer
from .report import render as pictures_of
from .report import report as write_report
from .shading import measure_shading
from .storage import read_trainable
from .train_detector import train_detector
from .train_generator import Plan, Renders, Training, run
from .train_identity import train_identity, train_judge

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Makes the embedded default: see README.md.")
Head = Annotated[Path, typer.Argument(help="What bake wrote.", exists=True, dir_okay=False)]
Size = Annotated[int, typer.Option(min=16, max=1024, help="Pixels of a side.")]


@app.command()
def bake(
    face_model: Annotated[
        Path, typer.Argument(help="The publisher's folder FaceXModel.", exists=True, file_okay=False)
    ],
    head: Annotated[Path, typer.Argument(help="File to write (.npz).")],
) -> None:
    """Reads the head model and computes everything that is the same in all pictures."""
    save_assets(bake_assets(face_model), head)


@app.command()
def sheet(head: Head, out: Path, count: int = 48, columns: int = 12, size: Size = 128, seed: int = 1) -> None:
    """Renders a contact sheet of random people, as users draw them at truncation 0.8."""
    iio.imwrite(
        out, contact_sheet(pictures_of(Renderer(load_assets(head), size), drawn(count, seed, TRUNCATION)), columns)
    )


@app.command()
def render(
    head: Head,
    out: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    count: Annotated[int, typer.Option(min=1)] = 100_000,
    size: Size = 128,
    seed: int = 1,
    people: Annotated[int, typer.Option(min=0, help="Pictures of each person; 0: everybody is another.")] = 0,
    pairs: Annotated[bool, typer.Option(help="Every picture with two expressions, as train needs it.")] = False,
) -> None:
    """Renders a data set on all cores; when called again, goes on where it stopped."""
    if people and pairs:
        raise ValueError("--people and --pairs are for different trainings: choose one")
    if pairs:
        vectors = pair_vectors(-(-count // 2), seed)
    else:
        vectors = people_vectors(count // people, people, seed) if people else sample(count, seed)
    with Progress() as progress:
        task = progress.add_task("rendering", total=len(vectors))
        render_set(head, out, vectors, size, report=lambda done: progress.update(task, completed=done))
    if people:
        np.save(out / "people.npy", people_of(len(vectors), people))


@app.command()
def train(
    data: Annotated[
        list[Path], typer.Argument(help="Data sets that render made with --pairs.", exists=True, file_okay=False)
    ],
    checkpoint: Annotated[Path, typer.Option(help="Training's state; goes on from it when it is there.")],
    out: Annotated[Path, typer.Option(help="The generator to write at the end (.safetensors).")],
    pictures: Annotated[int, typer.Option(min=1, help="Pictures to see in all.")] = Plan().pictures,
    size: Size = 128,
    start: Annotated[
        Path | None, typer.Option(help="A generator of this recipe to go on from; it may have fewer channels.")
    ] = None,
    eighth: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pictures to see at an eighth of the size, first.")
    ] = Plan().eighth,
    quarter: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pictures to see at a quarter of the size, then.")
    ] = Plan().quarter,
    half: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pictures to see at half the size, then.")
    ] = Plan().half,
    channel_base: Annotated[
        int, typer.Option(min=64, help="A block of n × n pixels has this / n channels, at most 256.")
    ] = Plan().channel_base,
    held: Annotated[
        int, typer.Option(min=0, help="Blocks of up to this many pixels a side stay as in --start.")
    ] = Plan().held,
    batch: Annotated[int, typer.Option(min=2, help="Pictures of a step.")] = Plan().batch,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    bfloat16: Annotated[bool, typer.Option(help="Convolutions in bfloat16.")] = Plan().bfloat16,
    compiled: Annotated[
        bool, typer.Option(help="Compile the network first: 1.7 times faster; needs a C++ compiler.")
    ] = True,
) -> None:
    """Trains the generator; when stopped and called again, goes on exactly as if it had not been stopped."""
    renders = Renders(data, device)
    if checkpoint.exists():
        training = Training.load(checkpoint, device)
    else:
        plan = Plan(
            resolution=size,
            pictures=pictures,
            eighth=eighth,
            quarter=quarter,
            half=half,
            channel_base=channel_base,
            held=held,
            batch=batch,
            bfloat16=bfloat16,
        )
        training = Training(plan, device)
        if held and start is None:
            raise ValueError("blocks are held as --start has them: give --start")
        if start is not None:
            training.begin(read_trainable(start))
    run(training, renders, checkpoint, compiled=compiled)
    save_generator(training.finished(), out)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Training's state.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Argument(help="The generator to write (.safetensors).")],
) -> None:
    """Writes the generator of a training that has not ended, as train does at its end; train may go on afterwards."""
    save_generator(Training.load(checkpoint).finished(), out)


@app.command(name="exchange")
def exchange_command(
    generator: Annotated[Path, typer.Argument(help="What train wrote.", exists=True, dir_okay=False)],
    bundle: Annotated[str, typer.Argument(help="A face model, or 'default'.")],
) -> None:
    """Gives a fitted face model another generator that shows the same for the same w, as one of larger pictures."""
    with Progress() as progress:
        task = progress.add_task("comparing")
        report = lambda done, total: progress.update(task, completed=done, total=total)  # noqa: E731
        landmarks, planes = exchange(generator, resolve_bundle(bundle), report)
    apart = ", ".join(f"{name} {each:.2f}" for name, each in planes.items())
    typer.echo(f"the worst landmark is {landmarks:.2f} % of the outer-eye distance apart; planes, of 255: {apart}")


@app.command()
def blend(
    one: Annotated[Path, typer.Argument(help="What train wrote.", exists=True, dir_okay=False)],
    other: Annotated[Path, typer.Argument(help="What it wrote, begun with that one.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Argument(help="The generator to write (.safetensors).")],
    share: Annotated[float, typer.Option(min=0, max=1, help="How much of the other.")] = 0.5,
) -> None:
    """Averages the weights of two generators; the result errs less than either."""
    save_generator(blended(read_trainable(one), read_trainable(other), share), out)


@app.command()
def paint(
    head: Head,
    generator: Annotated[Path, typer.Argument(help="What train wrote.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    count: Annotated[int, typer.Option(min=1)] = 8_000,
    seed: int = 2,
    people: Annotated[int, typer.Option(min=0, help="Pictures of each person; 0: everybody is another.")] = 0,
) -> None:
    """Makes a data set like that of render from the generator's pictures."""
    vectors = people_vectors(count // people, people, seed) if people else sample(count, seed)
    network = read_trainable(generator)
    with Progress() as progress:
        task = progress.add_task("painting", total=len(vectors))
        renderer = Renderer(load_assets(head), network.resolution[0])
        paint_set(network, renderer, out, vectors, report=lambda done: progress.update(task, completed=done))
    if people:
        np.save(out / "people.npy", people_of(len(vectors), people))


@app.command()
def labels(
    out: Annotated[Path, typer.Argument(help="The table to write (.csv).")],
    count: Annotated[int, typer.Option(min=20, help="People, from seed 0 on.")] = 3000,
) -> None:
    """Writes what this edition's parameters say of people by seed, for 'effigy bundle learn-attributes'."""
    write_labels(out, count)


@app.command(name="latents")
def latents_command(
    out: Annotated[Path, typer.Argument(help="The .npz to write, for effigy fit --latents.")],
    count: Annotated[int, typer.Option(min=1)] = 20_000,
    people: Annotated[int, typer.Option(min=2, help="Pictures of each person, two of each scene.")] = 4,
    seed: int = 11,
) -> None:
    """Writes latents of people with all expressions; of people drawn at random, only three in a hundred show any."""
    random = torch.Generator().manual_seed(seed)
    z = latents_of(drawn_evenly(count, random, people), random).numpy()
    np.savez(out, z=z, people=people_of(count, people), scenes=people_of(count, SCENE))


@app.command()
def detector(
    data: Annotated[list[Path], typer.Argument(help="Data sets, rendered and painted.", exists=True, file_okay=False)],
    weights: Annotated[Path, typer.Option(help="Weights to start from and to write (.safetensors).")],
    minutes: float = 30.0,
) -> None:
    """Trains the landmark detector."""
    train_detector(data, weights, minutes)


@app.command()
def identity(
    data: Annotated[list[Path], typer.Argument(help="Data sets with --people.", exists=True, file_okay=False)],
    weights: Annotated[Path, typer.Option(help="Weights to write (.safetensors).")],
    minutes: float = 15.0,
) -> None:
    """Trains the identity network."""
    train_identity(data, weights, minutes)


@app.command()
def judge(
    data: Annotated[
        list[Path], typer.Argument(help="Data sets with --people, of other people.", exists=True, file_okay=False)
    ],
    weights: Annotated[Path, typer.Option(help="Weights to write (.safetensors).")],
    minutes: float = 15.0,
) -> None:
    """Trains a second identity network, which is used only to measure edits."""
    train_judge(data, weights, minutes)


@app.command()
def report(
    head: Head,
    generator: Annotated[Path, typer.Argument(help="What train wrote.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Argument(help="Folder for sheets and figures.")],
) -> None:
    """Compares the generator's pictures with the renderer's."""
    network = read_trainable(generator)
    write_report(network, Renderer(load_assets(head), network.resolution[0]), out)


@app.command()
def shading(
    head: Head,
    bundle: Annotated[str, typer.Argument(help="A face model, or 'default'.")],
    out: Annotated[Path, typer.Argument(help="The shading.json to write.")],
) -> None:
    """Measures on renders how expressions change colours, so that effigy evaluate can subtract it."""
    folder = resolve_bundle(bundle)
    detector = load_detector("embedded", embedded_detector(folder))
    model = load_face_model(folder, "cpu")
    renderer = Renderer(load_assets(head), model.generator.resolution[0])
    with Progress() as progress:
        task = progress.add_task("rendering")
        report = lambda done, total: progress.update(task, completed=done, total=total)  # noqa: E731
        measure_shading(model, detector, renderer, report).to_file(out)


@app.command(name="gallery")
def gallery_command(
    bundle: Annotated[str, typer.Argument(help="A face model, or 'default'.")],
    out: Annotated[Path, typer.Argument(help="Folder for the strips.")],
) -> None:
    """Paints a strip of pictures for each turn and control of the face model."""
    for path in gallery(load_face_model(resolve_bundle(bundle), "cpu"), out):
        typer.echo(path)


@app.command(name="fairness")
def fairness_command(
    bundle: Annotated[str, typer.Argument(help="A face model, or 'default'.")],
    people: Annotated[int, typer.Option(min=3, help="Unseen people to turn.")] = 120,
) -> None:
    """Measures turns of thirds of people: yaw and pitch error (°), landmark error (%), similarity."""
    folder = resolve_bundle(bundle)
    model = load_face_model(folder, "cpu")
    detector = load_detector("embedded", embedded_detector(folder))
    recogniser = load_embedder("judge", embedded_bundle(generator_of(bundle)) or folder, torch.device("cpu"))
    with Progress() as progress:
        task = progress.add_task("turning", total=people)
        thirds = fairness(
            model, Judge(detector, recogniser, people), lambda done: progress.update(task, completed=done)
        )
    for name, third in thirds.items():
        typer.echo(f"{name:7}  {third.yaw:.2f}°  {third.pitch:.2f}°  {third.landmarks:.2f} %  {third.similarity:.2f}")


def main() -> None:
    """Runs the command line; tells errors in one line instead of a traceback."""
    keep_freed_memory()
    try:
        app()
    except (OSError, ValueError, BundleError, GeneratorFileError, DetectorError, IdentityFileError) as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
