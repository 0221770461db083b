# SPDX-License-Identifier: Apache-2.0
"""Contact sheets: people, poses and controls in rows and columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from effigy_protocol.messages import MatteName

from ..faces import FaceModel, Identity
from .errors import PaintingError
from .format import Format
from .shots import Moment, Shot, over_white, paint_shots

_CAPTION = 14  # pixels above a picture
_MARGIN = 2
_PIXELS = 1 << 27  # of a sheet: 400 MB


def paint_sheet(
    model: FaceModel,
    people: Mapping[str, Identity],
    axes: Mapping[str, Sequence[float]],
    tile: int | None = None,
    *,
    captions: bool = True,
    matte: MatteName = "none",
) -> NDArray[np.uint8]:
    """Paints a contact sheet, [H, W, 3]: without ``axes`` a grid of people, else rows for each person.

    ``axes`` maps "yaw", "pitch" or a control to its values. At most two of them may have several: the first one's go to
    the right, and the second one's give a row each. ``tile`` is the width of a picture in pixels, by default the
    generator's. Raises PaintingError.
    """
    across, down = _two(axes)
    asked = [
        {name: values[0] for name, values in axes.items() if len(values) == 1} | dict(one) | dict(other)
        for other in down
        for one in across
    ]
    shots, texts = [], []
    for (label, person), values in product(people.items(), asked):
        shots.append(Shot(person, Moment.named(values)))
        told = [f"{name} {value:.3g}" for name, value in values.items() if len(axes[name]) > 1]
        texts.append(" · ".join([label, *told] if len(people) > 1 or not told else told))
    columns = len(across) if len(across) > 1 else math.ceil(math.sqrt(len(shots)))
    height, width = model.generator.resolution
    size = (width, height) if tile is None else (tile, max(1, round(tile * height / width)))
    top = _CAPTION if captions else 0
    cell = size[0] + _MARGIN, size[1] + top + _MARGIN
    rows = -(-len(shots) // columns)
    if not len(shots) or columns * rows * cell[0] * cell[1] > _PIXELS:
        raise PaintingError(
            f"no sheet has {len(shots)} pictures of {size[0]} × {size[1]} pixels: ask for fewer, or for smaller ones"
        )
    sheet = Image.new("RGB", (columns * cell[0] - _MARGIN, rows * cell[1] - _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (painted, text) in enumerate(zip(paint_shots(model, shots, Format(matte=matte)), texts, strict=True)):
        x, y = (index % columns) * cell[0], (index // columns) * cell[1]
        if captions:
            draw.text((x + 1, y + 1), _fitted(draw, text, size[0]), fill="black")
        picture = Image.fromarray(over_white(painted.picture))
        sheet.paste(picture if tile is None else picture.resize(size, Image.Resampling.LANCZOS), (x, y + top))
    return np.asarray(sheet)


_Steps = list[tuple[tuple[str, float], ...]]


def _two(axes: Mapping[str, Sequence[float]]) -> tuple[_Steps, _Steps]:
    """Returns the steps to the right and the steps downwards, one (name, value) each, of the axes with several values.

    An axis that is missing has one step, (). Raises PaintingError.
    """
    if empty := [name for name, values in axes.items() if not len(values)]:
        raise PaintingError(f"{empty[0]} has no values")
    several = [name for name, values in axes.items() if len(values) > 1]
    if len(several) > 2:
        raise PaintingError(f"a sheet has two axes at most, and {', '.join(several)} have several values: fix one")
    steps: list[_Steps] = [[((name, float(value)),) for value in axes[name]] for name in several]
    steps += [[()]] * (2 - len(steps))
    return steps[0], steps[1]


def _fitted(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """Cuts ``text`` to ``width`` pixels."""
    while text and draw.textlength(text) > width:
        text = text[:-1]
    return text
