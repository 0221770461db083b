# SPDX-License-Identifier: Apache-2.0
"""Compares faces that are relit from their pictures alone with the renderer's own pictures in that light.

Or faces that the default paints, with the normals that it paints beside them.

python -m recipes.bench.relight head.npz [--people 24] [--painted]

head.npz is what ``python -m recipes.demo_face bake`` wrote.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effigy.faces import DEFAULT_BUNDLE, load_face_model
from effigy.faces.mattes import head_alpha
from effigy.faces.pictures import Pictures
from effigy.faces.seen import Seen
from effigy.matting.foreground import to_linear
from effigy.relighting import estimate_light, relief
from recipes.demo_face.bake import load_assets
from recipes.demo_face.latents import drawn, paint_vectors
from recipes.demo_face.parameters import ROWS, decode
from recipes.demo_face.renderer import Renderer, Rendering
from recipes.demo_face.storage import read_trainable

SIZE, SEED, SPREAD = 256, 4244, 0.8  # people by whom no constant was chosen
SIDE = 4.0  # standard deviations of where the renderer's key light comes from: far to one side
AROUND, KEY = 0.3, 0.9  # of the light that the pictures are relit by; correlation tells neither
NOSE, IBUG = 30, 68

Plane = NDArray[np.float32]
Vector = NDArray[np.float32]
Delit = Callable[[Vector, Rendering], tuple[Plane, Plane]]  # a person's albedo [S, S] and normals [S, S, 3]


def main(head: Path, people: int, *, painted: bool) -> None:
    size, delit = by_the_default() if painted else (SIZE, rendered)
    renderer = Renderer(load_assets(head), size)
    rows = np.array([row for vector in drawn(people, SEED, SPREAD) for row in compare(renderer, vector, delit)])
    names = "picture", "left light less right light", "brighter on the light's side (share)", "degrees between normals"
    for name, values in zip(names, rows.T, strict=True):
        print(f"{name}: mean {values.mean():.3f}, least {values.min():.3f}, most {values.max():.3f}")


def by_the_default() -> tuple[int, Delit]:
    """Returns the size of the default's pictures, and what takes the light out of them, by their painted normals."""
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    network = read_trainable(DEFAULT_BUNDLE / "generator.safetensors")

    def painted(vector: Vector, rendering: Rendering) -> tuple[Plane, Plane]:
        images = paint_vectors(network, vector[None])
        pictures = Pictures(images, model.generator.planes, None, seen=landmarks(rendering))
        passes = pictures.passes(("normal", "albedo"), pictures.light(), "head", is_straight=True)
        normal, albedo = (passes[name].astype(np.float32) for name in ("normal", "albedo"))
        return albedo.mean(axis=-1), normal

    return model.generator.resolution[0], painted


def rendered(_: Vector, rendering: Rendering) -> tuple[Plane, Plane]:
    """Takes the light out of a render, by a surface through its landmarks."""
    seen, picture, size = landmarks(rendering), linear(rendering), rendering.picture.shape[:2]
    surface = relief(seen.visible(), head_alpha((rendering.picture / 127.5 - 1).astype(np.float32)))
    light = estimate_light(picture, surface.normal, seen.face(size))
    return (picture / light.on(surface.normal)).mean(axis=-1), surface.normal


def compare(renderer: Renderer, vector: Vector, delit: Delit) -> list[tuple[float, float, float, float]]:
    """Relights a picture from either side, and compares it with the renderer's picture in that light, within the face.

    Returns for each side: the correlation of both, and of their changes from one side to the other; 1 if both cheeks
    change as the light does, else 0; and the mean angle between estimated and true normals, degrees.
    """
    rendering = renderer(vector)
    albedo, normal = delit(vector, rendering)
    size = len(albedo)
    face = landmarks(rendering).face(albedo.shape) > 0
    sides = {}
    for side in (-1.0, 1.0):
        moved = vector.copy()
        moved[ROWS["key_light"]] = [SIDE * side, *vector[ROWS["key_light"]][1:]]
        scene = decode(moved)
        level = np.cos(scene.key_elevation)
        key = np.array(
            [np.sin(scene.key_azimuth) * level, np.sin(scene.key_elevation), np.cos(scene.key_azimuth) * level]
        )
        relit = albedo * (AROUND + KEY * np.maximum(normal @ key, 0))
        sides[side] = relit[face], linear(renderer(moved)).mean(axis=-1)[face]
    true = rendering.film.normal[face] / np.linalg.norm(rendering.film.normal[face], axis=-1, keepdims=True).clip(1e-6)
    degrees = float(np.degrees(np.arccos((true * normal[face]).sum(axis=-1).clip(-1, 1))).mean())
    across = (np.mgrid[:size, :size][1][face] + 0.5) / size - rendering.landmarks[NOSE, 0] / size
    found = []
    for side, (relit, rendered) in sides.items():
        other_relit, other_rendered = sides[-side]
        change, wanted = relit - other_relit, rendered - other_rendered
        cheeks = [change[side * across > 0].mean(), -change[side * across < 0].mean()]
        found.append((correlation(relit, rendered), correlation(change, wanted), float(min(cheeks) > 0), degrees))
    return found


def landmarks(rendering: Rendering) -> Seen:
    """Returns the renderer's own 68 landmarks, as a model would see them."""
    size = len(rendering.picture)
    flat, height = rendering.landmarks[:IBUG].T / size, rendering.points[:IBUG, 2] * rendering.scale / size
    return Seen(np.concatenate([flat, height[None]]).astype(np.float64), np.ones(IBUG, np.bool_), 1.0)


def linear(rendering: Rendering) -> Plane:
    return to_linear((rendering.picture / 255).astype(np.float32))


def correlation(a: Plane, b: Plane) -> float:
    return float(np.corrcoef(a, b)[0, 1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("head", type=Path)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--painted", action="store_true", help="what the default paints, of the same people")
    arguments = parser.parse_args()
    main(arguments.head, arguments.people, painted=arguments.painted)
