# SPDX-License-Identifier: Apache-2.0
"""Gives a fitted face model another generator that shows the same for the same w, as one of larger pictures does.

What was fitted reads w and knows what its pictures show: where landmarks are, and colours. So it holds as long as both
generators have the same mapping and planes, and show the same; that is measured first.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
import torch.nn.functional as F

from effigy.faces.embedded import embedded_detector
from effigy.faces.header import HEADER, check_sha256, generator_path, read_header, sha256, write_header
from effigy.faces.replacing import replaced_together
from effigy.generators import Generator, load_generator
from effigy.landmarks import load_detector

from .latents import drawn_evenly, latents_of
from .planes import RGB
from .train_detector import outer_eyes

_PICTURES = 256
# Regressors err by 0.9 % of the outer-eye distance on the average landmark. What a generator adds to that for its worst
# landmark, and to a colour's error of 2 of 255, is to be small beside it.
_APART = 0.8  # %
_COLOURS_APART = 2.0  # of 255
_MAPPINGS_APART = 0.05  # of w's entries, which vary by about 1: weights are stored in half precision
_COARSE = 16  # pixels of a side, to compare colours


def exchange(generator: Path, folder: Path) -> tuple[float, float]:
    """Puts ``generator`` into the face model in ``folder``, which gets another id.

    Returns how far the pictures of both are apart: the worst landmark (mean over pictures, % of the outer-eye
    distance), and colours (mean, of 255). Raises ValueError when the model has to be fitted again, BundleError and
    GeneratorFileError for files that cannot be read, and OSError.
    """
    header = read_header(folder)
    fitted = generator_path(folder, header["generator"])
    check_sha256(fitted, header["generator"]["sha256"], "put the generator back that the model was fitted to")
    if header["regressor"]["rows"] != 1:
        raise ValueError(f"{folder} reads each layer's own w, and another generator has other layers: fit it again")
    apart = _apart(load_generator(fitted, "cpu"), load_generator(generator, "cpu"), embedded_detector(folder))
    for value, limit, what in zip(apart, (_APART, _COLOURS_APART), ("% apart", "of 255 apart in colour"), strict=True):
        if not value <= limit:
            raise ValueError(f"{generator} shows landmarks or colours {value:.2f} {what}, over {limit}: fit it again")
    with replaced_together(folder, HEADER) as new:
        file = new / "generator.safetensors"
        shutil.copyfile(generator, file)
        write_header(new, header | {"generator": {"file": file.name, "sha256": sha256(file)}})
    return apart


@torch.inference_mode()
def _apart(fitted: Generator, other: Generator, detector_file: Path) -> tuple[float, float]:
    """Measures what ``exchange`` returns. Raises ValueError for another mapping and other planes."""
    if fitted.planes != other.planes:
        raise ValueError(f"the generators paint {fitted.planes} and {other.planes}: fit the model again")
    random = torch.Generator().manual_seed(0)
    z = latents_of(drawn_evenly(_PICTURES, random, 2), random)
    generators = (fitted, other)
    ws, others_ws = (generator.map(z) for generator in generators)
    average, others_average = (generator.map(z[:1], 0.0) for generator in generators)  # where truncation leads to
    for w, others_w in ((ws, others_ws), (average, others_average)):
        if not torch.allclose(w[:, 0], others_w[:, 0], atol=_MAPPINGS_APART):
            raise ValueError("the generators map z to different w: fit the model again")
    detector = load_detector("embedded", detector_file)
    landmarks, colours = [], []
    for parts in zip(ws.split(16), others_ws.split(16), strict=True):
        pictures = [
            generator.synthesize(part)[:, RGB].clamp(-1, 1) for generator, part in zip(generators, parts, strict=True)
        ]
        before, after = (detector.detect(each).transpose(1, 2) for each in pictures)
        landmarks.append((after - before).norm(dim=2) / outer_eyes(before)[:, None])
        coarse, others_coarse = (F.adaptive_avg_pool2d(each, _COARSE) for each in pictures)
        colours.append((coarse - others_coarse).abs().mean(dim=(1, 2, 3)))
    return 100 * float(torch.cat(landmarks).mean(dim=0).max()), 127.5 * float(torch.cat(colours).mean())
