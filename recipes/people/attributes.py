# SPDX-License-Identifier: Apache-2.0
"""How far attributes move pose and controls in pictures, and a sheet of them: see docs/people.md.

Two readers judge people that nothing was learnt from: the landmark detector of the model's fit, which had no part in
making attributes keep still, and the networks that read photographs, which had.

    python recipes/people/attributes.py [BUNDLE] [--people N] [--sheet FILE.jpg]
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

Array = NDArray[np.float64]
Read = Callable[[Tensor], Array]

VALUES = (-2.0, 2.0)
FIRST_SEED = 5_000_000
SHEET = (3, 12, 28)  # people
_QUALITY = 85  # of a JPEG: nothing is lost to the eye


def by_landmarks(model: FaceModel, detector: Detector) -> Read:
    """Reads yaw, pitch and roll (degrees) and controls, [N, 3 + C], in pictures of w+."""
    readings = np.stack([control.reading for control in model.controls.values()])

    def read(ws: Tensor) -> Array:
        views = infer(model.shape, detector.detect(seen(model, ws)).double().numpy())
        turn = np.degrees(np.stack(angles(views.camera.R), axis=1))
        return np.concatenate([turn, views.alpha @ readings.T], axis=1)

    return read


def by_photographs(model: FaceModel) -> Read:
    """As ``by_landmarks``; the first picture is the person's own. nan where no face is seen."""
    detector, photos = PhotoDetector(torch.device("cpu")), model.photo_map
    if photos is None:
        raise SystemExit(f"{model.name} has not learnt to read photographs")

    def read(ws: Tensor) -> Array:
        found = [None if face is None else Features.of(face) for face in detector.faces(seen(model, ws))]
        rest, rows = found[0], np.full((len(found), 3 + len(photos.controls)), np.nan)
        for row, features in zip(rows, found, strict=True):
            if features is not None and rest is not None:
                row[:] = [*photos.read_pose(features), *photos.read_controls(features, rest).values()]
        return rows

    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", default="default")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--sheet", type=Path, help="a picture to write; as JPEG it is a sixth of a PNG")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    folder = resolve_bundle(chosen.bundle)
    model = load_face_model(folder, "cpu")
    readers = {
        "landmarks": by_landmarks(model, load_detector("embedded", embedded_detector(folder))),
        "photographs": by_photographs(model),
    }
    if chosen.sheet is not None:
        settings: dict[str, Any] = {"quality": _QUALITY} if chosen.sheet.suffix == ".jpg" else {}
        iio.imwrite(chosen.sheet, sheet(model), **settings)
    people = [model.open_seed(FIRST_SEED + number) for number in range(chosen.people)]
    print("| attribute | read by | yaw, pitch, roll | worst control, mean | controls |")
    print("|---|---|---|---|---|")
    for name in model.attributes:
        edited = [torch.stack([p.ws, *(edit(model, p, name, value) for value in VALUES)]) for p in people]
        for judge, read in readers.items():
            found = np.stack([read(ws) for ws in edited])
            moved = np.nanmean(np.abs(found[:, 1:] - found[:, :1]), axis=(0, 1))
            turn, controls = moved[:3], moved[3:]
            each = ", ".join(f"{label} {value:.3f}" for label, value in zip(model.controls, controls, strict=True))
            degrees = ", ".join(f"{value:.2f}°" for value in turn)
            print(
                f"| {name} | {judge} | {degrees} | {controls.max():.3f}, {controls.mean():.3f} | {each} |", flush=True
            )


def edit(model: FaceModel, person: Identity, name: str, value: float) -> Tensor:
    """The latent of a person in their own pose with one attribute."""
    return model.edit(person, person.pose.yaw, person.pose.pitch, {name: value}).ws


def sheet(model: FaceModel) -> NDArray[np.uint8]:
    """Every attribute in a row, at −2, 0 and 2 of each of SHEET's people."""
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
