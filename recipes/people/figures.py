# SPDX-License-Identifier: Apache-2.0
"""How well pictures of a face model's own are inverted, and edits of who was found follow edits of the true person.

``python recipes/people/figures.py --people 50``: held-out people are painted, written as PNG files without anything
else in them, and made people of again. Who they are is judged by the network that no fit and no inversion sees.
"""

from __future__ import annotations

import argparse
import io
import time

import imageio.v3 as iio
import numpy as np
import torch

from effigy import api
from effigy.faces import FaceModel, embedded_bundle, generator_of
from effigy.faces.photo_map import Features
from effigy.landmarks.photo import PhotoReader
from effigy.people.making import finish, make_person, psnr
from effigy.recognition import load_embedder

FIRST_SEED = 4_000_000  # apart from the seeds of fits and learning; the first 12 are also those of fitting.reach
_TRUNCATIONS = (0.7, 0.8, 1.0)
_TURN, _SMILE = 25.0, 0.8


def figures(model_name: str, people: int) -> None:
    model = api.load(model_name)
    networks = embedded_bundle(generator_of(model_name))
    assert networks is not None, "the judge knows the embedded generators' people alone"
    judge, reader = load_embedder("judge", networks, model.generator.device), PhotoReader(model.generator.device)
    rows = []
    for number in range(people):
        true = model.open_seed(FIRST_SEED + number, _TRUNCATIONS[number % len(_TRUNCATIONS)])
        picture = model.paint(true.ws[None])[0, ..., :3]
        file = io.BytesIO()
        iio.imwrite(file, picture, extension=".png")
        began = time.process_time()
        made = finish(make_person(model, reader, file.getvalue()))
        seconds = time.process_time() - began
        turn = -_TURN if true.pose.yaw > 0 else _TURN  # away from the side that they turn to: within the model's range
        asked = true.pose.yaw + turn, true.pose.pitch, {"mouthSmile": _SMILE}
        ws = [true.ws, made.identity.ws, *(model.edit(who, *asked).ws for who in (true, made.identity))]
        painted = torch.from_numpy(model.paint(torch.stack(ws))[..., :3]).permute(0, 3, 1, 2).float() / 127.5 - 1
        alike = judge.embed(painted)
        yaw = [_yaw(model, reader, one) - true.pose.yaw - turn for one in painted[2:]]
        rows.append(
            (
                psnr(painted[1:2], painted[:1]), float(alike[0] @ alike[1]),
                psnr(painted[3:], painted[2:3]), float(alike[2] @ alike[3]),
                float(alike[0] @ alike[2]), float(alike[0] @ alike[3]),
                abs(yaw[0]), abs(yaw[1]), made.figures["painted"], seconds,
            )
        )  # fmt: skip
        print(number, *(f"{value:.4g}" for value in rows[-1]), flush=True)
    table = np.array(rows)
    names = (
        "PSNR, dB", "identity", "edited: PSNR against the true person edited", "edited: identity with them",
        "identity of the true person at rest and edited", "… and of who was found, edited", "yaw error of the true, °",
        "yaw error of who was found, °", "pictures painted", "CPU seconds",
    )  # fmt: skip
    for name, column in zip(names, table.T, strict=True):
        print(f"{name}: mean {column.mean():.4g}, {column.min():.4g} … {column.max():.4g}")


def _yaw(model: FaceModel, reader: PhotoReader, picture: torch.Tensor) -> float:
    assert model.photo_map is not None
    pixels = (picture * 127.5 + 127.5).round().byte().permute(1, 2, 0).numpy()
    (face,) = reader.read(pixels, most=1)
    return model.photo_map.read_pose(Features.of(face))[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="first-default")
    parser.add_argument("--people", type=int, default=50)
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures(given.model, given.people)
