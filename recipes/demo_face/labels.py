# SPDX-License-Identifier: Apache-2.0
"""What the renderer's parameters say of people by seed: labels from which a face model learns named attributes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch

from .latents import Z_DIM, parameters_of
from .parameters import column

# Of the parameters that change looks alone, those that are seen at the default's size: name → column, with - where
# the column counts the other way.
LABELS = {
    "age": "age",
    "female": "woman",
    "skinTone": "tone.0",
    "hairColour": "hair_colour.0",
    "greyHair": "-hair_colour.2",  # the column makes hair turn grey later
    "hairLength": "hair_length",
    "eyeColour": "eye_colour",
}


def write_labels(path: Path, count: int) -> None:
    """Writes a table with ``seed`` and LABELS of the people 0 … count − 1, as FaceModel.open_seed draws them."""
    z = np.stack([np.random.RandomState(seed).randn(Z_DIM) for seed in range(count)])
    columns = [column(name.removeprefix("-")) for name in LABELS.values()]
    signs = np.array([-1.0 if name.startswith("-") else 1.0 for name in LABELS.values()])
    values = signs * parameters_of(torch.from_numpy(z).float())[:, columns].numpy()
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["seed", *LABELS])
        table.writerows([seed, *(f"{value:.4f}" for value in row)] for seed, row in enumerate(values))
