# SPDX-License-Identifier: Apache-2.0
"""How long pivotal tuning's own procedure takes to a likeness that ``effigy photo`` reaches, and the other way round.

``nice -n 19 python -m recipes.bench.pti PICTURE.png PHOTOGRAPH.jpg …``: each picture is inverted by both, one after the
other on one thread, towards the same target by the same measures (``effigy.people.objective``; the authors' LPIPS has
no file here). Time is the process's, without what only measures. A picture that the model might have painted is
inverted without tuning by Effigy; a photograph with it. ``--own N`` takes N people of the model's instead of files.

PTI is written from its paper (Roich et al., *Pivotal Tuning for Latent-based Editing of Real Images*, ACM Transactions
on Graphics, 2022, sections 3 and 4.1, with the projector of Karras et al., *Analyzing and Improving the Image Quality
of StyleGAN*, 2020, appendix D): 450 steps of Adam at 0.005 find w from the mean of w, with noise on w that falls to
nothing; then 350 steps of Adam at 0.0003 change the generator. Noise maps are not searched: the default has none.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio.v3 as iio
import torch
from torch import Tensor

from effigy import api
from effigy.faces import FaceModel
from effigy.generators import load_trainable
from effigy.generators.planes import colour
from effigy.landmarks.photo import PhotoReader
from effigy.people.alignment import align
from effigy.people.making import encoder_of, make_person, psnr, target_of
from effigy.people.objective import IDENTITY, MESH, Target, mesh_of, pixels_apart, points_apart
from effigy.picture_files import decode_picture, read_picture_file
from recipes.people.inputs import told

_PIVOT_STEPS, _PIVOT_RATE = 450, 5e-3
_TUNING_STEPS, _TUNING_RATE = 350, 3e-4
_RISING, _FALLING = 0.05, 0.25  # of the first steps: over which the rate rises, and falls
_NOISE, _NOISE_UNTIL = 0.05, 0.75  # of w's own spread, and of the steps
_SAMPLES = 10_000  # of w, for its mean and spread
_FIRST_SEED = 4_100_000  # apart from the seeds of fits, learning and evaluations

Curve = list[tuple[float, float]]  # processor seconds so far → decibels, the best until then


def record(pictures: Iterator[Tensor], likeness: Callable[[Tensor], float]) -> Curve:
    """Runs a procedure that yields pictures; what measures them takes no time."""
    curve: Curve = []
    spent, best = 0.0, -math.inf
    while True:
        began = time.process_time()
        picture = next(pictures, None)
        spent += time.process_time() - began
        if picture is None:
            return curve
        best = max(best, likeness(picture))
        curve.append((round(spent, 2), round(best, 3)))


def effigy(model: FaceModel, reader: PhotoReader, data: bytes, *, tuned: bool) -> Iterator[Tensor]:
    for progress in make_person(model, reader, data, tuned=tuned):
        yield progress.picture


def pti(model: FaceModel, target: Target) -> Iterator[Tensor]:
    """Runs both stages of pivotal tuning; yields the picture of each step."""
    torch.manual_seed(0)
    generator, apart = model.generator, _apart(model, target)
    with torch.no_grad():
        samples = generator.map(torch.randn(_SAMPLES, generator.z_dim))[:, 0]
    w = samples.mean(dim=0, keepdim=True)
    spread = float((samples - w).square().sum().div(_SAMPLES).sqrt())
    w.requires_grad_()
    optimiser = torch.optim.Adam([w], lr=_PIVOT_RATE)
    for step in range(_PIVOT_STEPS):
        share = step / _PIVOT_STEPS
        optimiser.param_groups[0]["lr"] = _PIVOT_RATE * _ramp(share)
        noise = spread * _NOISE * max(0.0, 1 - share / _NOISE_UNTIL) ** 2 * torch.randn_like(w)
        with torch.enable_grad():
            ws = (w + noise)[:, None].expand(-1, generator.num_ws, -1)
            yield _improve(optimiser, colour(generator.synthesize(ws), generator.planes), apart)
    assert model.generator_path is not None
    network = load_trainable(model.generator_path, model.generator_sha256).to(generator.device)
    network.requires_grad_(requires_grad=False)
    trained = [value for name, value in network.named_parameters() if name.startswith("synthesis.")]
    for value in trained:
        value.requires_grad_()
    optimiser = torch.optim.Adam(trained, lr=_TUNING_RATE)
    ws = w.detach()[:, None].expand(-1, generator.num_ws, -1)
    for _ in range(_TUNING_STEPS):
        with torch.enable_grad():
            yield _improve(optimiser, colour(network.synthesize(ws), network.planes), apart)


def _improve(optimiser: torch.optim.Optimizer, picture: Tensor, apart: Callable[[Tensor], Tensor]) -> Tensor:
    """Takes one step; returns the picture."""
    optimiser.zero_grad()
    apart(picture).backward()
    optimiser.step()
    return picture.detach()


def _apart(model: FaceModel, target: Target) -> Callable[[Tensor], Tensor]:
    """Returns the cost of a picture: that of ``Objective`` without its term for latents far from their mean."""
    if (face := target.face) is None:
        return lambda picture: pixels_apart(picture, target)
    encoder = encoder_of(model)
    with torch.no_grad():
        wanted, mesh = encoder.extractor(target.picture).vectors, mesh_of(target.picture, face)

    def cost(picture: Tensor) -> Tensor:
        apart, vectors = pixels_apart(picture, target), encoder.extractor(picture).vectors
        if vectors is not None and wanted is not None:
            apart = apart + IDENTITY * (1 - (vectors * wanted).sum(dim=1)).mean()
        return apart + MESH * points_apart(mesh_of(picture, face), mesh)

    return cost


def _ramp(share: float) -> float:
    fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - share) / _FALLING))
    return fall * min(1.0, share / _RISING)


def compare(model: FaceModel, reader: PhotoReader, name: str, data: bytes) -> dict[str, object]:
    """Runs both on one picture; returns what they reach, and when each has reached what both do."""
    aligned = align(model, reader, decode_picture(data, name))
    target = Target(aligned.picture) if aligned.framed else target_of(aligned, reader)
    weight = None if target.face is None else target.face.mask

    def likeness(picture: Tensor) -> float:
        return psnr(picture, target.picture, weight)

    ours = record(effigy(model, reader, data, tuned=target.face is not None), likeness)
    theirs = record(pti(model, target), likeness)
    both = min(ours[-1][1], theirs[-1][1])
    first, second = (next(seconds for seconds, reached in curve if reached >= both) for curve in (ours, theirs))
    return {
        "picture": name, "photograph": target.face is not None, "effigy": ours[-1], "pti": theirs[-1],
        "pti_without_tuning": theirs[_PIVOT_STEPS - 1], "equal": both, "effigy_seconds": first, "pti_seconds": second,
        "ratio": round(second / max(first, 1e-3), 1),
    }  # fmt: skip


def _own(model: FaceModel, number: int) -> bytes:
    file = io.BytesIO()
    iio.imwrite(file, model.paint(model.open_seed(_FIRST_SEED + number, 0.8).ws[None])[0, ..., :3], extension=".png")
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="*")
    parser.add_argument("--own", type=int, default=0)
    parser.add_argument("--model", default="first-default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with told():
        model = api.load(given.model)
        reader = PhotoReader(model.generator.device)
        files = [(path.name, read_picture_file(path)) for path in given.pictures]
        files += [(f"own {number}", _own(model, number)) for number in range(given.own)]
        for name, data in files:
            print(json.dumps(compare(model, reader, name, data)), flush=True)


if __name__ == "__main__":
    main()
