# SPDX-License-Identifier: Apache-2.0
"""Gives a fitted face model another generator that paints the same latents, as one with larger pictures does.

All that was fitted knows latents, and what their pictures show: where landmarks are, and colours. So it holds as long
as both generators show the same, which is measured here first.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import Tensor

from effigy.faces.header import generator_path, read_header, sha256, write_header
from effigy.generators import Generator, load_generator
from effigy.landmarks import Detector, load_detector
from effigy_protocol.files import whole_file

from .latents import drawn_evenly, latents_of
from .train_detector import LEAST_EYES, OUTER_EYES

_PICTURES = 256
_APART = 0.5  # % of the outer-eye distance; regressors of such models err by 0.9


def exchange(generator: Path, folder: Path) -> float:
    """Puts ``generator`` into the face model in ``folder``; returns how far their landmarks are apart (NME, %).

    Raises ValueError when they are so far apart that the model has to be fitted again.
    """
    header = read_header(folder)
    detector = load_detector("embedded", folder / "detector.safetensors")
    random = torch.Generator().manual_seed(0)
    z = latents_of(drawn_evenly(_PICTURES, random, 2), random)
    before, after = (
        _landmarks(load_generator(path, "cpu"), detector, z)
        for path in (generator_path(folder, header["generator"]), generator)
    )
    eyes = (before[:, :, OUTER_EYES[1]] - before[:, :, OUTER_EYES[0]]).norm(dim=1)
    apart = 100 * float(((after - before).norm(dim=1).mean(dim=1) / eyes.clamp_min(LEAST_EYES)).mean())
    if not apart <= _APART:
        raise ValueError(f"{generator} shows landmarks {apart:.2f} % elsewhere, over {_APART} %: fit the model again")
    with whole_file(folder / "generator.safetensors") as temporary:
        shutil.copyfile(generator, temporary)
    header["generator"] = {"file": "generator.safetensors", "sha256": sha256(folder / "generator.safetensors")}
    write_header(folder, header)
    return apart


@torch.inference_mode()
def _landmarks(generator: Generator, detector: Detector, z: Tensor) -> Tensor:
    """Returns [N, 2, L] of the pictures of ``z``."""
    return torch.cat([detector.detect(generator.synthesize(generator.map(part))[:, :3]) for part in z.split(32)])
