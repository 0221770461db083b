# SPDX-License-Identifier: Apache-2.0
"""Reads the text of a screenshot by Tesseract."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

# How a screen is read: how many times enlarged, and from which brightness to which. What one misses another finds:
# the second reads the grey letters of what cannot be pressed.
READINGS = ((3, (0, 255)), (3, (40, 160)), (2, (0, 255)))
Reading = tuple[int, tuple[int, int]]
Line = tuple[str, float, float]  # of text, and x, y of its middle
_LIMIT_S = 600.0


def read(screen: np.ndarray, columns: slice, reading: Reading, path: Path) -> list[Line]:
    """Returns what can be read in these columns of ``screen`` [H, W, 3]; ``path`` is a file of Tesseract's input."""
    enlarged, brightness = reading
    left = columns.start or 0
    part = screen[:, columns].astype(int)
    warns = (part[..., 0] - part[..., 1] > 40) & (np.abs(part[..., 1] - part[..., 2]) < 16)  # Blender's red letters
    light = np.where(warns, part[..., 0], part.min(axis=2))  # and white ones, on any slider's colour
    picture = Image.fromarray(np.interp(light, brightness, (0, 255)).astype(np.uint8))
    large = picture.resize((picture.width * enlarged, picture.height * enlarged), Image.Resampling.LANCZOS)
    large.point(lambda value: 255 - value).save(path)  # dark letters on light ground read better
    table = subprocess.run(
        ["tesseract", path, "-", "--psm", "11", "tsv"],
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # its threads spin, and on a busy machine wait for each other
        check=True, capture_output=True, text=True, timeout=_LIMIT_S,
    ).stdout  # fmt: skip
    lines: dict[tuple[str, ...], list[list[str]]] = {}
    for row in table.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) == 12 and cells[11].strip():
            lines.setdefault(tuple(cells[1:5]), []).append(cells)
    found = []
    for cells in lines.values():
        boxes = np.array([[int(value) for value in cell[6:10]] for cell in cells])
        x = (boxes[:, 0].min() + (boxes[:, 0] + boxes[:, 2]).max()) / 2 / enlarged + left
        y = (boxes[:, 1] + boxes[:, 3] / 2).mean() / enlarged
        found.append((" ".join(cell[11] for cell in cells), float(x), float(y)))
    return found
