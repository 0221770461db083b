# SPDX-License-Identifier: Apache-2.0
"""The channels of a generator's pictures ("planes"): grey or RGB, and alpha, normal and depth if the generator paints
them.

All are nominally in [−1, 1]. Colour is sRGB over its background; alpha −1 is transparent, 1 opaque; a normal points out
of the surface (x right, y up, z to the viewer); depth grows towards the viewer. Normal and depth are multiplied by
alpha.
"""

from __future__ import annotations

import torch
from torch import Tensor

RGB = ("red", "green", "blue")
# What each channel count means where a file does not name its planes.
BY_COUNT = {1: ("grey",), 3: RGB, 4: (*RGB, "alpha")}
ALPHA, NORMAL, DEPTH = "alpha", ("normal_x", "normal_y", "normal_z"), "depth"
KNOWN = ("grey", *RGB, ALPHA, *NORMAL, DEPTH)


def check_planes(planes: tuple[str, ...]) -> None:
    """Raises ValueError unless ``planes`` are known ones, each there once, colour first."""
    if unknown := [name for name in planes if name not in KNOWN]:
        raise ValueError(f"no picture has a plane {unknown[0][:40]!r}: known are {', '.join(KNOWN)}")
    first = 1 if planes[:1] == ("grey",) else len(RGB)
    colours = planes[:first] in (("grey",), RGB) and not {"grey", *RGB} & set(planes[first:])
    if not colours or len(set(planes)) != len(planes):
        raise ValueError(f"no picture has the planes {', '.join(planes)[:200]}: grey, or red, green, blue come first")


def planes_of_count(count: int) -> tuple[str, ...]:
    """Returns the usual planes of pictures with ``count`` channels, for files that do not name them. Raises ValueError
    if there is no usual meaning.
    """
    if count not in BY_COUNT:
        raise ValueError(f"its pictures have {count} channels, and nothing says what they are: Effigy knows 1, 3 and 4")
    return BY_COUNT[count]


def colour(images: Tensor, planes: tuple[str, ...]) -> Tensor:
    """Returns the RGB planes [N, 3, H, W] of pictures [N, C, H, W]; grey is repeated three times."""
    if planes == RGB:
        return images
    return images[:, :1].expand(-1, 3, -1, -1) if planes[0] == "grey" else images[:, :3]


def alpha(images: Tensor, planes: tuple[str, ...]) -> Tensor:
    """Returns the alpha [N, 1, H, W] of pictures [N, C, H, W], in [0, 1]; it is 1 if they have none."""
    if ALPHA not in planes:
        return torch.ones_like(images[:, :1])
    index = planes.index(ALPHA)
    return ((images[:, index : index + 1] + 1) / 2).clamp(0, 1)
