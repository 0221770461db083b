# SPDX-License-Identifier: Apache-2.0
"""A posed face goes back into its photograph: warped into its place, matched in colour, blended band by band.

Burt and Adelson, *A multiresolution spline with application to image mosaics*, ACM Transactions on Graphics, 1983.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..faces import Identity
from ..geometry.camera import Array
from ..landmarks.photo import Crop, Matte, PhotoReader
from ..picture_files import decode_picture
from .alignment import crop_of, to_crop
from .masks import face_mask

_GROWN = 1.22  # of the face's hull: what moves with a face is about it
_SOFT = 0.03  # of the square: how wide the mask's edge is
_RING = 0.08  # of the square: around the mask, where colours are compared
_EDGE = 0.06  # of the square, in which nothing of the painted picture is left
_BANDS = 4
_WHOLE = 32768  # pixels of a side: pictures are not made smaller
_MASK = 256  # pixels in which masks are drawn
_MOST_GAIN = 1.5  # of a channel's contrast
# Ottosson, *A perceptual color space for image processing*, 2020: linear sRGB → cone responses → Oklab.
_CONES = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=torch.float32,
)
_OKLAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=torch.float32,
)


class NoPlaceError(Exception):
    """A person who cannot be put into a picture; the message says why, and what to do."""


def paste_person(
    reader: PhotoReader,
    who: Identity,
    data: bytes | None,  # the picture's file; None: the one in the person's own
    before: NDArray[np.uint8],  # [h, h, 3]: the person as in the picture
    after: NDArray[np.uint8],  # [h, h, 3]: posed
) -> NDArray[np.uint8]:
    """The picture [H, W, 3] at full size with the face posed. Raises NoPlaceError or PictureFileError."""
    person = who.person
    if person is None or person.quad is None:
        raise NoPlaceError("this person was not made from a picture: there is nothing to paste into")
    found = person.picture if data is None else data
    if found is None:
        raise NoPlaceError("this person's file does not hold the picture that it was made from: name it with --picture")
    wanted = person.story.get("source", {}).get("sha256")
    if hashlib.sha256(found).hexdigest() != wanted:
        raise NoPlaceError("this is not the picture that the person was made from: its checksum is another")
    return paste(reader, decode_picture(found, largest=_WHOLE), person.quad, before, after)


def paste(
    reader: PhotoReader,
    photograph: NDArray[np.uint8],  # [H, W, 3], upright
    quad: Array,  # [4, 2], as a person's file has it
    before: NDArray[np.uint8],  # [h, h, 3]: the person as in the photograph
    after: NDArray[np.uint8],  # [h, h, 3]: posed
) -> NDArray[np.uint8]:
    """The photograph with the face posed; outside of the quad it is the photograph, bit for bit."""
    height, width, _ = photograph.shape
    crop = crop_of(quad * [width, height])
    left, top, right, bottom = _box(crop, width, height)
    if right - left < 2 or bottom - top < 2:
        return photograph.copy()
    # In single precision: a photograph of 64 million pixels would take twice as many GB in double.
    mask = torch.from_numpy(_mask(reader, before, after)).float()[None, None]
    grid = _grid(crop, (left, top, right, bottom))
    painted = _warp(torch.from_numpy(after).permute(2, 0, 1)[None].float(), grid, crop.side)
    over = _warp(mask, grid, crop.side).clamp(0, 1)
    ring = (_warp(_grown(mask, _RING), grid, crop.side) - over).clamp(0, 1)
    inside = (grid.abs() < 1).all(dim=-1)[None, ...]
    region = photograph[top:bottom, left:right]
    under = torch.from_numpy(region).permute(2, 0, 1)[None].float()
    matched = _matched(painted, under, ring * inside)
    blended = _blended(matched, under, over * inside).clamp(0, 255).round().byte()
    changed = (inside & (_widened(over, crop.side) > 0))[0, 0].numpy()
    out = photograph.copy()
    out[top:bottom, left:right][changed] = blended[0].permute(1, 2, 0).numpy()[changed]
    return out


def _box(crop: Crop, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what the crop covers of a picture."""
    corners = crop.to_picture(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    left, top = (int(np.clip(v, 0, n)) for v, n in zip(low, (width, height), strict=True))
    right, bottom = (int(np.clip(v, 0, n)) for v, n in zip(high, (width, height), strict=True))
    return left, top, right, bottom


def _grid(crop: Crop, box: tuple[int, int, int, int]) -> Tensor:
    """[1, h, w, 2]: where in the crop each pixel of the box lies, −1 … 1."""
    left, top, right, bottom = box
    y, x = np.mgrid[top:bottom, left:right] + 0.5
    within = to_crop(crop, np.stack([x.ravel(), y.ravel()], axis=1))
    return torch.from_numpy(2 * within - 1).float().view(1, bottom - top, right - left, 2)


def _warp(picture: Tensor, grid: Tensor, side: float) -> Tensor:
    """Samples a square picture [1, C, h, h]; where it becomes smaller its pixels are averaged first."""
    shrink = int(picture.shape[-1] / side)
    if shrink > 1:
        picture = F.avg_pool2d(picture, shrink, ceil_mode=True, count_include_pad=False)
    return F.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False)


def _mask(reader: PhotoReader, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Array:
    """[_MASK, _MASK]: where the head is, or was; nothing at the square's edge."""
    matte, drawn = Matte(reader.device), np.zeros((_MASK, _MASK))
    for picture in (before, after):
        faces = reader.read(picture, most=1)
        points = faces[0].points[:, :2] * (_MASK / len(picture)) if faces else _oval()
        hull = face_mask(points, _MASK, _GROWN, _SOFT * _MASK)
        seen = F.interpolate(matte.matte(picture)[None, None], (_MASK, _MASK), mode="bilinear", align_corners=False)
        person = seen[0, 0].double().cpu().numpy()
        drawn = np.maximum(drawn, np.maximum(hull, person))
    from_edge = (np.minimum(np.arange(_MASK), np.arange(_MASK)[::-1]) + 0.5) / _MASK
    ramp = np.clip((from_edge - _EDGE) / _EDGE, 0, 1)
    return drawn * ramp[:, None] * ramp


def _oval() -> Array:
    """Where a face is that no network sees."""
    angle = np.linspace(0, 2 * math.pi, 64)
    return np.stack([0.5 + 0.3 * np.cos(angle), 0.52 + 0.38 * np.sin(angle)], axis=1) * _MASK


def _grown(mask: Tensor, by: float) -> Tensor:
    """A mask in a square, wider by ``by`` of it."""
    around = 2 * round(by * mask.shape[-1]) + 1
    return F.max_pool2d(mask, around, stride=1, padding=around // 2)


def _widened(mask: Tensor, side: float) -> Tensor:
    """As far as blending reaches."""
    reach = min(2**_BANDS, max(int(_EDGE * side / 2), 1))
    across = F.max_pool2d((mask > 0).float(), (1, 2 * reach + 1), stride=1, padding=(0, reach))
    return F.max_pool2d(across, (2 * reach + 1, 1), stride=1, padding=(reach, 0))


def _matched(painted: Tensor, under: Tensor, ring: Tensor) -> Tensor:
    """``painted`` with the mean and the spread that ``under`` has in the ring, in Oklab."""
    if float(ring.sum()) < 1:
        return painted
    one, two = _to_oklab(painted), _to_oklab(under)
    share = ring / ring.sum()
    means = [(lab * share).sum(dim=(2, 3), keepdim=True) for lab in (one, two)]
    spreads = [
        ((lab - mean).square() * share).sum(dim=(2, 3), keepdim=True).sqrt()
        for lab, mean in zip((one, two), means, strict=True)
    ]
    gain = (spreads[1] / spreads[0].clamp_min(1e-4)).clamp(1 / _MOST_GAIN, _MOST_GAIN)
    return _from_oklab((one - means[0]) * gain + means[1])


def _blended(painted: Tensor, under: Tensor, mask: Tensor) -> Tensor:
    """Each band of frequencies under a mask as soft as the band is coarse."""
    levels = [(painted, under, mask)]
    while len(levels) < _BANDS and min(levels[-1][0].shape[-2:]) >= 4:
        levels.append(tuple(F.avg_pool2d(each, 2, ceil_mode=True) for each in levels[-1]))  # type: ignore[arg-type]
    one, two, over = levels[-1]
    out = two + over * (one - two)
    for (coarse_one, coarse_two, _), (one, two, over) in pairwise(reversed(levels)):
        size = one.shape[-2:]
        bands = [each - _doubled(coarse, size) for each, coarse in ((one, coarse_one), (two, coarse_two))]
        out = _doubled(out, size) + bands[1] + over * (bands[0] - bands[1])
    return out


def _doubled(picture: Tensor, size: torch.Size) -> Tensor:
    height, width = size
    whole = F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
    return whole[..., :height, :width]


def _to_oklab(picture: Tensor) -> Tensor:
    """sRGB [1, 3, h, w] of 0 … 255."""
    x = picture / 255
    linear = torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0) + 0.055) / 1.055) ** 2.4)
    cones = torch.einsum("ij,njhw->nihw", _CONES, linear).clamp_min(0) ** (1 / 3)
    return torch.einsum("ij,njhw->nihw", _OKLAB, cones)


def _from_oklab(lab: Tensor) -> Tensor:
    cones = torch.einsum("ij,njhw->nihw", torch.linalg.inv(_OKLAB), lab) ** 3
    linear = torch.einsum("ij,njhw->nihw", torch.linalg.inv(_CONES), cones)
    x = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0) ** (1 / 2.4) - 0.055)
    return 255 * x
