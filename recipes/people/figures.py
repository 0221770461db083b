# SPDX-License-Identifier: Apache-2.0
"""How well pictures of a face model's own are inverted, and edits of who was found follow edits of the true person.

``python -m recipes.people.figures --people 50``: held-out people are painted, written as PNG files without anything
else in them, and made people of again. Who they are is judged by the network that no fit and no inversion sees.

Of the default, whose latents are parameters of a renderer, it is also known how a person truly looks who has turned and
smiles (``truth``). Edits of the true person and of who was found are both compared with that picture by the generator
and, where ``--head`` names the renderer's head, with the renderer's own.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch import Tensor

from effigy import api
from effigy.faces import FaceModel, embedded_bundle, generator_of
from effigy.faces.photo_map import Features
from effigy.landmarks.photo import PhotoReader
from effigy.people.making import make_person, psnr
from effigy.people.steps import finish
from effigy.recognition import load_embedder
from recipes.people.inputs import told
from recipes.people.truth import Truth, UnknownTruthError

FIRST_SEED = 4_000_000  # apart from the seeds of fits and learning; the first 12 are also those of fitting.reach
_TRUNCATIONS = (0.7, 0.8, 1.0)
_TURN, _SMILE = 25.0, 0.8
_NAMES = (
    "PSNR, dB", "identity", "edited: PSNR against the true person edited", "edited: identity with them",
    "identity of the true person at rest and edited", "… and of who was found, edited", "yaw error of the true, °",
    "yaw error of who was found, °", "pictures painted", "CPU seconds",
)  # fmt: skip


def figures(model_name: str, people: int, head: Path | None, first: int) -> None:
    with told():
        model = api.load(model_name)
    try:
        truth = Truth.of(model, head)
    except UnknownTruthError as error:
        print(error)
        truth = None
    networks = embedded_bundle(generator_of(model_name))
    if networks is None:
        raise SystemExit(
            f"who is like whom can be judged for the embedded generators' people alone, not {model_name}'s"
        )
    judge, reader = load_embedder("judge", networks, model.generator.device), PhotoReader(model.generator.device)
    rows = []
    for number in range(people):
        true = model.open_seed(first + number, _TRUNCATIONS[number % len(_TRUNCATIONS)])
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
            [
                psnr(painted[1:2], painted[:1]), float(alike[0] @ alike[1]),
                psnr(painted[3:], painted[2:3]), float(alike[2] @ alike[3]),
                float(alike[0] @ alike[2]), float(alike[0] @ alike[3]),
                abs(yaw[0]), abs(yaw[1]), made.figures["painted"], seconds,
            ]
        )  # fmt: skip
        if truth is not None:
            rows[-1] += _against_truth(truth, true.ws, turn, painted[2:])
        print(number, *(f"{value:.4g}" for value in rows[-1]), flush=True)
    table, names = np.array(rows), list(_NAMES)
    for painter in ("generator", "renderer")[: (table.shape[1] - len(_NAMES)) // 3]:
        names += [
            f"true person edited: PSNR against the {painter}'s true picture",
            "… who was found, edited",
            "… loss, dB",
        ]
    for name, column in zip(names, table.T, strict=True):
        print(f"{name}: mean {column.mean():.4g}, {column.min():.4g} … {column.max():.4g}")


def _against_truth(truth: Truth, ws: Tensor, turn: float, edited: Tensor) -> list[float]:
    """Returns for each true picture the PSNR of both ``edited`` [2, 3, H, W], of the true person and of who was found,
    and their difference."""
    moved = truth.moved(ws, turn, "mouthSmile", _SMILE, "smile")
    found = []
    for picture in truth.pictures(moved):
        found += [psnr(one[None], picture[None]) for one in edited]
        found.append(found[-2] - found[-1])
    return found


def _yaw(model: FaceModel, reader: PhotoReader, picture: Tensor) -> float:
    assert model.photo_map is not None
    pixels = (picture * 127.5 + 127.5).round().byte().permute(1, 2, 0).numpy()
    (face,) = reader.read(pixels, most=1)
    return model.photo_map.read_pose(Features.of(face))[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="first-default")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--head", type=Path, help="the renderer's head, for a model of the default's generator")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="the seed of the first person")
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures(given.model, given.people, given.head, given.first)
