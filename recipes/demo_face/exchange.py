# SPDX-License-Identifier: Apache-2.0
"""Gives a fitted face model another generator that shows the same for the same w, as one of larger pictures does.

What was fitted reads w and knows what its pictures show: where landmarks are, colours, and the scale of depth. So it
holds as long as both generators have the same mapping and planes, and show the same in each; that is measured first,
against the generator that is there: one that took another's place before is as far from the fit as both exchanges say.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from effigy.faces import load_face_model
from effigy.faces.embedded import embedded_detector
from effigy.faces.header import HEADER, read_header, write_header
from effigy.faces.replacing import replaced_together
from effigy.generators import Generator, load_generator
from effigy.landmarks import load_detector
from effigy_protocol.files import digest

from .latents import drawn_evenly, latents_of
from .planes import RGB
from .train_detector import outer_eyes

_PICTURES = 256
# Regressors err by 0.9 % of the outer-eye distance on the average landmark. What a generator adds to that for its worst
# landmark, and to a colour's error of 2 of 255, is to be small beside it; so with alpha, normals and depth.
_APART = 0.8  # %
_PLANE_APART = 2.0  # of 255
_MAPPINGS_APART = 0.05  # of w's entries, which vary by about 1: weights are stored in half precision
_COARSE = 16  # pixels of a side, to compare planes


def exchange(
    generator: Path, folder: Path, report: Callable[[int, int], None] = lambda done, total: None
) -> tuple[float, dict[str, float]]:
    """Puts ``generator`` into the face model in ``folder``, which gets another id.

    Returns how far the pictures of both are apart: the worst landmark (mean over pictures, % of the outer-eye
    distance), and each plane by name (mean, of 255). ``report`` is told how many pictures have been compared. Raises
    ValueError when the model has to be fitted again, BundleError and GeneratorFileError for files that cannot be read,
    and OSError.
    """
    model = load_face_model(folder, "cpu")
    rows = [model.regressor.rows, *(len(each.direction) for each in model.attributes.values())]
    if max(rows) > 1:
        raise ValueError(f"{folder} reads each layer's own w, and another generator has other layers: fit it again")
    new_sha256 = digest(generator)
    other = load_generator(generator, "cpu", sha256=new_sha256)
    landmarks, planes = _apart(model.generator, other, embedded_detector(folder), report)
    if not landmarks <= _APART:  # nor if it is no number
        raise ValueError(f"{generator} shows landmarks {landmarks:.2f} % apart, over {_APART}: fit the model again")
    for name, apart in planes.items():
        if not apart <= _PLANE_APART:
            found = f"{name} {apart:.2f} of 255 apart, over {_PLANE_APART}"
            raise ValueError(f"{generator} shows {found}: fit the model again")
    with replaced_together(folder, HEADER) as new:
        header = read_header(folder)  # as it is now: comparing takes a minute
        file = new / "generator.safetensors"
        shutil.copyfile(generator, file)
        if (header["generator"]["sha256"], digest(file)) != (model.generator_sha256, new_sha256):
            raise ValueError(
                f"{generator} or the generator of {folder} was replaced while they were compared: try again"
            )
        write_header(new, header | {"generator": {"file": file.name, "sha256": new_sha256}})
    return landmarks, planes


@torch.inference_mode()
def _apart(
    fitted: Generator, other: Generator, detector_file: Path, report: Callable[[int, int], None]
) -> tuple[float, dict[str, float]]:
    """Measures what ``exchange`` returns. Raises ValueError for another mapping and other planes."""
    for what in ("planes", "z_dim", "w_dim"):
        one, another = getattr(fitted, what), getattr(other, what)
        if one != another:
            raise ValueError(f"the generators have {what} {one} and {another}: fit the model again")
    random = torch.Generator().manual_seed(0)
    z = latents_of(drawn_evenly(_PICTURES, random, 2), random)
    generators = (fitted, other)
    ws, others_ws = (generator.map(z) for generator in generators)
    average, others_average = (generator.map(z[:1], 0.0) for generator in generators)  # where truncation leads to
    for w, others_w in ((ws, others_ws), (average, others_average)):
        if not torch.allclose(w[:, 0], others_w[:, 0], atol=_MAPPINGS_APART):
            raise ValueError("the generators map z to different w: fit the model again")
    detector = load_detector("embedded", detector_file)
    landmarks, planes = [], []
    for parts in zip(ws.split(16), others_ws.split(16), strict=True):
        # Clamped, as all that shows planes clamps them.
        pictures = [generator.synthesize(part).clamp(-1, 1) for generator, part in zip(generators, parts, strict=True)]
        before, after = (detector.detect(each[:, RGB]).transpose(1, 2) for each in pictures)
        landmarks.append((after - before).norm(dim=2) / outer_eyes(before)[:, None])
        coarse, others_coarse = (F.adaptive_avg_pool2d(each, _COARSE) for each in pictures)
        planes.append((coarse - others_coarse).abs().mean(dim=(2, 3)))
        report(sum(map(len, planes)), len(z))
    apart = 127.5 * torch.cat(planes).mean(dim=0)
    return 100 * float(torch.cat(landmarks).mean(dim=0).max()), dict(zip(fitted.planes, apart.tolist(), strict=True))
