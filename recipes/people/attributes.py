# SPDX-License-Identifier: Apache-2.0
"""How far attributes move pose and controls in pictures, and a sheet of them: see docs/people.md.

Two readers judge pictures of people that nothing was learnt from: the landmark detector of the model's fit, which had
no part in making attributes keep still, and the networks that read photographs, which had. Of the default, whose
latents are the renderer's parameters, the renderer itself tells exactly where landmarks go that pose and expression
have moved; and it renders people of whom one parameter alone is changed, which says how much of what the readers see is
their own error. For both give ``--head``, which recipes/demo_face bakes.

    python -m recipes.people.attributes [BUNDLE] [--people N] [--sheet FILE.jpg] [--head head.npz]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effigy.faces import FaceModel, Identity, embedded_detector, load_face_model, resolve_bundle
from effigy.faces.photo_map import Features
from effigy.fitting.evaluation import seen
from effigy.geometry import angles, infer
from effigy.landmarks import Detector, load_detector
from effigy.landmarks.photo import PhotoDetector
from recipes.demo_face.labels import LABELS
from recipes.demo_face.mapping import parameters_of_code
from recipes.demo_face.parameters import EXPRESSION, column, columns
from recipes.people.inputs import renderer_of, told

Array = NDArray[np.float64]
Read = Callable[[Tensor], Array]

VALUES = (-2.0, 2.0)
FIRST_SEED = 5_000_000
SHEET = (3, 12, 28)  # people
_QUALITY = 85  # of a JPEG: nothing is lost to the eye


def readings_of(model: FaceModel, points: Array) -> Array:
    """Computes yaw, pitch and roll (degrees) and controls, [N, 3 + C], of landmarks [N, 2, L]."""
    views = infer(model.shape, points)
    turn = np.degrees(np.stack(angles(views.camera.R), axis=1))
    return np.concatenate([turn, views.alpha @ np.stack([c.reading for c in model.controls.values()]).T], axis=1)


def by_landmarks(model: FaceModel, detector: Detector) -> Read:
    """Reads yaw, pitch and roll and controls, [N, 3 + C], in pictures [N, 3, H, W] in [−1, 1]."""
    return lambda pictures: readings_of(model, detector.detect(pictures).double().numpy())


def by_photographs(model: FaceModel) -> Read:
    """Reads as ``by_landmarks`` does; the first picture must be the person's own. nan where no face is seen."""
    detector, photos = PhotoDetector(torch.device("cpu")), model.photo_map
    if photos is None:
        raise SystemExit(f"{model.name} has not learnt to read photographs")

    def read(pictures: Tensor) -> Array:
        found = [None if face is None else Features.of(face) for face in detector.faces(pictures)]
        rest, rows = found[0], np.full((len(found), 3 + len(photos.controls)), np.nan)
        for row, features in zip(rows, found, strict=True):
            if features is not None and rest is not None:
                row[:] = [*photos.read_pose(features), *photos.read_controls(features, rest).values()]
        return rows

    return read


class Truth:
    """What the renderer knows of the default's latents."""

    def __init__(self, model: FaceModel, head: Path) -> None:
        self._model = model
        self._renderer = renderer_of(head, model.generator.resolution[0])

    def moved(self, ws: Tensor) -> Array:
        """Returns [N − 1, 3 + C]: how far pose and expression alone move in w+ [N, num_ws, w_dim] from the first."""
        own, *others = parameters_of_code(ws[:, 0]).numpy()
        kept = columns("yaw", "pitch")
        still = np.stack(others)
        still[:, [*kept, *EXPRESSION]] = own[[*kept, *EXPRESSION]]
        points = np.stack([self._renderer.landmarks(vector).T for vector in (*others, *still)])
        found = readings_of(self._model, points.astype(np.float64) / self._renderer.size)
        return found[: len(others)] - found[len(others) :]

    def renders(self, person: Identity, name: str) -> Tensor:
        """Renders a person, and at VALUES of the one parameter from which the attribute was learnt, [3, 3, H, W]."""
        own = parameters_of_code(person.ws[:1]).numpy()[0]
        moved = np.eye(len(own))[column(LABELS[name].removeprefix("-"))]
        vectors = [own + value * moved for value in (0.0, *VALUES)]
        pictures = torch.from_numpy(np.stack([self._renderer(vector.astype(np.float32)).picture for vector in vectors]))
        return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", default="default")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--sheet", type=Path, help="a picture to write; as JPEG it is a sixth of a PNG")
    parser.add_argument("--head", type=Path, help="the renderer's head, for a bundle of the default's generator")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with told():
        folder = resolve_bundle(chosen.bundle)
        model = load_face_model(folder, "cpu")
    if chosen.sheet is not None:
        settings: dict[str, Any] = {"quality": _QUALITY} if chosen.sheet.suffix == ".jpg" else {}
        iio.imwrite(chosen.sheet, sheet(model), **settings)
    people = [model.open_seed(FIRST_SEED + number) for number in range(chosen.people)]
    readers = {
        "landmarks": by_landmarks(model, load_detector("embedded", embedded_detector(folder))),
        "photographs": by_photographs(model),
    }
    truth = None if chosen.head is None else Truth(model, chosen.head)
    print("| attribute | read by | yaw, pitch, roll | worst control, mean | controls |")
    print("|---|---|---|---|---|")
    for name in model.attributes if people else ():
        edited = [torch.stack([p.ws, *(edit(model, p, name, value) for value in VALUES)]) for p in people]
        if truth is not None:
            report(model, name, "the renderer", np.stack([truth.moved(ws) for ws in edited]))
        for judge, read in readers.items():
            report(model, name, judge, np.stack([differences(read(seen(model, ws))) for ws in edited]))
        if truth is not None and name in LABELS:
            rendered = [truth.renders(person, name) for person in people]
            for judge, read in readers.items():
                moved = np.stack([differences(read(pictures)) for pictures in rendered])
                report(model, name, f"{judge}, where nothing moves", moved)


def differences(found: Array) -> Array:
    return found[1:] - found[:1]


def report(model: FaceModel, name: str, judge: str, moved: Array) -> None:
    """Prints a row: means over people and values of what moved, [people, values, 3 + C]."""
    size = np.nanmean(np.abs(moved), axis=(0, 1))
    turn, controls = size[:3], size[3:]
    each = ", ".join(f"{label} {value:.3f}" for label, value in zip(model.controls, controls, strict=True))
    degrees = ", ".join(f"{value:.2f}°" for value in turn)
    print(f"| {name} | {judge} | {degrees} | {controls.max():.3f}, {controls.mean():.3f} | {each} |", flush=True)


def edit(model: FaceModel, person: Identity, name: str, value: float) -> Tensor:
    """Returns the latent of a person in their own pose with one attribute."""
    return model.edit(person, person.pose.yaw, person.pose.pitch, {name: value}).ws


def sheet(model: FaceModel) -> NDArray[np.uint8]:
    """Paints a row for every attribute: −2, 0 and 2 for each of SHEET's people."""
    people = [model.open_seed(seed) for seed in SHEET]
    rows = [
        np.concatenate(
            [model.paint(edit(model, p, name, value)[None])[0] for p in people for value in (-2.0, 0.0, 2.0)], axis=1
        )
        for name in model.attributes
    ]
    return np.concatenate(rows)


if __name__ == "__main__":
    main()
