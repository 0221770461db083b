# SPDX-License-Identifier: Apache-2.0
"""Draws the numbers of the faces into a picture, and pictures side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..geometry.camera import Array

_SIDE = 512  # pixels of the longer side
_LIGHT, _DARK = (255, 255, 255), (20, 20, 20)  # seen on any picture, one within the other
_LETTER = 0.06  # of the picture's longer side


def numbered(picture: NDArray[np.uint8], boxes: Array) -> NDArray[np.uint8]:
    """Shrinks a picture [H, W, 3], and draws numbered boxes [n, 4] (left, top, right, bottom in [0, 1]) into it."""
    image = Image.fromarray(picture)
    image.thumbnail((_SIDE, _SIDE))
    draw = ImageDraw.Draw(image)
    size = round(_LETTER * max(image.size))
    font = ImageFont.load_default(size)
    for number, box in reversed(list(enumerate(boxes * [*image.size, *image.size], start=1))):  # the largest over all
        left, top, right, bottom = box.round().astype(int).tolist()
        right, bottom = max(right, left + 4), max(bottom, top + 4)
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_DARK, width=4)
        draw.rectangle((left, top, right, bottom), outline=_LIGHT, width=2)
        across = round(size * (0.4 + 0.6 * len(str(number))))
        x = min(max(left, 0), max(image.width - across, 0))
        y = top - size if top >= size else min(bottom, image.height - size)  # beside the face, not over it
        draw.rectangle((x, y, x + across, y + size), fill=_LIGHT, outline=_DARK)
        draw.text((x + across / 2, y + size / 2), str(number), fill=_DARK, font=font, anchor="mm")
    return np.array(image)


def beside(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Puts two pictures [h, w, 3] side by side: the cut-out face, and the painted one."""
    return np.ascontiguousarray(np.concatenate([one, other], axis=1))
