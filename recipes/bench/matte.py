# SPDX-License-Identifier: Apache-2.0
"""Measures the matte of pictures without an alpha: its error where the truth is known, its flicker, and what it costs.
Or the alpha that the default paints, and how it is cut out while a hand drags.

python -m recipes.bench.matte head.npz [--people 48] [--painted]

head.npz is what ``python -m recipes.demo_face bake`` wrote.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from effigy.faces import DEFAULT_BUNDLE, FaceModel, load_face_model
from effigy.faces.mattes import head_alpha
from effigy.generators.planes import alpha
from effigy.matting import cut_out, cut_out_moving
from effigy_protocol.messages import PassName
from recipes.demo_face.bake import load_assets
from recipes.demo_face.film import toned
from recipes.demo_face.latents import drawn, paint_vectors
from recipes.demo_face.parameters import YAW, column
from recipes.demo_face.renderer import Renderer
from recipes.demo_face.storage import read_trainable

SIZE, SEED, SPREAD = 256, 4243, 0.8  # people by whom no constant was chosen
EDGE = 9  # pixels of 256: within half of that of an alpha between 5 % and 95 % is the edge band
TURN = np.arange(-10.0, 10.0, 0.5)  # degrees, a frame each
ROUNDS = 15

Plane = NDArray[np.float32]
Vector = NDArray[np.float32]


def main(head: Path, people: int, *, painted: bool) -> None:
    torch.set_num_threads(1)
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    size = model.generator.resolution[0] if painted else SIZE
    renderer = Renderer(load_assets(head), size)
    network = read_trainable(DEFAULT_BUNDLE / "generator.safetensors") if painted else None

    def both(vector: Vector) -> tuple[Plane, Plane]:
        """Returns the alpha that is found, and the true one."""
        rendering = renderer(vector)
        if network is not None:
            return alpha(paint_vectors(network, vector[None]), model.generator.planes)[
                0, 0
            ].numpy(), rendering.film.alpha
        return head_alpha((rendering.picture / 127.5 - 1).astype(np.float32)), rendering.film.alpha

    errors = np.array([error(both(vector)) for vector in drawn(people, SEED, SPREAD)])
    for name, each in zip(("whole picture", "edge band"), errors.T, strict=True):
        print(f"error of alpha, {name}: mean {each.mean():.4f}, median {np.median(each):.4f}, worst {each.max():.4f}")
    flicker(both)
    if painted:
        cutting(model, renderer, people)
    else:
        cost(model)


def error(pair: tuple[Plane, Plane]) -> tuple[float, float]:
    """Returns the mean |error| of alpha in all of a picture, and in the band around its edge."""
    found, true = pair
    width = 2 * round((EDGE - 1) / 2 * len(true) / SIZE) + 1
    band = (maximum_filter(true, width) > 0.05) & (minimum_filter(true, width) < 0.95)
    away = np.abs(found - true)
    return float(away.mean()), float(away[band].mean())


def flicker(both: Callable[[Vector], tuple[Plane, Plane]]) -> None:
    """Prints, for a slow turn, how much alpha changes by the frame, and how far it is from its neighbours' mean."""
    vector = drawn(1, SEED, SPREAD)[0]
    pairs = []
    for yaw in TURN:
        vector[column("yaw")] = YAW.parameter(np.radians(yaw))
        pairs.append(both(vector))
    for name, frames in zip(("found", "true"), map(np.stack, zip(*pairs, strict=True)), strict=True):
        step = np.abs(np.diff(frames, axis=0)).mean()
        swing = np.abs(frames[1:-1] - (frames[:-2] + frames[2:]) / 2).mean()
        print(f"half a degree a frame, alpha {name}: changes by {step:.5f} a frame, of it to and fro {swing:.5f}")


def cost(model: FaceModel) -> None:
    """Prints the processor time of a final with and without a matte, and of the matte alone in larger pictures."""
    person = model.open_seed(1)
    ws, light = person.ws[None], model.light(person)

    def with_passes() -> None:
        pictures = replace(model.finals(ws), seen=model.see(ws[0])).matted()
        pictures.bytes("head")
        pictures.passes(get_args(PassName), light, "head")

    ways: list[Callable[[], object]] = [
        lambda: model.finals(ws).bytes(),
        lambda: model.finals(ws).bytes("head"),
        with_passes,
    ]
    without, matted, all_ = alternately(ways)
    print(f"final of {model.generator.resolution}: {without:.1f} ms")
    print(f"with a matte {matted:.1f} ms ({matted / without:.2f} ×)")
    print(f"and with normals, depth and albedo by its landmarks {all_:.1f} ms ({all_ / without:.2f} ×)")
    face = torch.from_numpy(model.paint(ws)).permute(0, 3, 1, 2).float() / 127.5 - 1
    for size in (256, 512, 1024):
        large = torch.nn.functional.interpolate(face, size=(size, size), mode="bicubic")[0].permute(1, 2, 0).numpy()
        print(f"the network and its refinement at {size}: {alternately([lambda: head_alpha(large)])[0]:.1f} ms")  # noqa: B023


def cutting(model: FaceModel, renderer: Renderer, people: int) -> None:
    """Prints how far colours at a head's edge are from their own on renders, and those of moving previews from the
    final's on painted people; and processor time of both.
    """
    away = []
    for vector in drawn(people, SEED, SPREAD):
        rendering = renderer(vector)
        opacity = rendering.film.alpha.astype(np.float32)
        light = (rendering.film.light / np.maximum(opacity, 1e-4)[..., None]).astype(np.float32)
        own = (toned(light) / 127.5 - 1).astype(np.float32)
        uncut = (rendering.picture / 127.5 - 1).astype(np.float32)
        away.append([_apart(each, own, opacity) for each in (*_cut(uncut, opacity), uncut)])
    final, moving, uncut_ = np.mean(away, axis=0)
    worst = np.max(away, axis=0)[0]
    print(f"colours at a render's edge, times alpha, from its own: {final:.1f} of 255, the worst {worst:.1f};")
    print(f"while it moves {moving:.1f}; as rendered {uncut_:.1f}")
    away = []
    for seed in range(1, 13):
        pictures = model.finals(model.open_seed(seed).ws[None])
        painted, opacity = pictures.colours()[0], pictures.opacity()[0]
        still, moved = _cut(painted, opacity)
        away.append([_apart(each, still, opacity) for each in (moved, painted)])
    moving, uncut_ = np.mean(away, axis=0)
    print(f"a moving preview's, from the final's: {moving:.1f}; as painted {uncut_:.1f}")
    slow, fast = alternately([lambda: _cut(painted, opacity)[0], lambda: cut_out_moving(painted, opacity)])
    print(f"cutting out a final takes {slow - fast:.1f} ms, a moving preview {fast:.1f}")


def _cut(colours: Plane, opacity: Plane) -> tuple[Plane, Plane]:
    return cut_out(colours, opacity, is_painted=True), cut_out_moving(colours, opacity)


def _apart(one: Plane, other: Plane, opacity: Plane) -> float:
    """Returns the mean difference of two pictures at the edge, times alpha, of 255."""
    edge = (opacity > 0.02) & (opacity < 0.995)
    return float(np.abs(127.5 * opacity[edge][:, None] * (one - other)[edge]).mean())


def alternately(ways: Sequence[Callable[[], object]]) -> list[float]:
    """Returns the median milliseconds of processor time of each way; they take turns."""
    times = np.zeros((ROUNDS, len(ways)))
    for round_ in range(-1, ROUNDS):  # the first is not counted
        for number, way in enumerate(ways):
            start = time.process_time()
            way()
            times[round_, number] = 1e3 * (time.process_time() - start)
    return [float(each) for each in np.median(times, axis=0)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("head", type=Path)
    parser.add_argument("--people", type=int, default=48)
    parser.add_argument("--painted", action="store_true", help="the default's own alpha, of the same people")
    arguments = parser.parse_args()
    main(arguments.head, arguments.people, painted=arguments.painted)
