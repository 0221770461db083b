# SPDX-License-Identifier: Apache-2.0
"""Puts a posed face back into its photograph: warps it to its place, matches colours, and blends band by band.

Around the posed head is the photograph. What its head hid there is spread from the background beside it.

Burt and Adelson, *A multiresolution spline with application to image mosaics*, ACM Transactions on Graphics, 1983.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..faces import Identity
from ..geometry.camera import Array
from ..landmarks.photo import Crop, PhotoReader
from ..picture_files import decode_picture
from .alignment import crop_of, to_crop
from .colours import ColourMatch
from .layers import EDGE, Layers
from .masks import grown

_RING = 0.08  # width of the ring around the mask, where colours are compared, as a share of the square's side
_BANDS = 4
_WHOLE = 32768  # pixels of a side, up to which a picture is read at full size
_TILE, _MARGIN = 512, 32  # pixels of a tile's side and around it that are blended, multiples of 2^_BANDS
_SAMPLES = 512  # pixels of a side, of the pictures whose colours are compared


class NoPlaceError(Exception):
    """A person who cannot be pasted into a picture; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person goes: the ``photograph`` [H, W, 3] that they were made from, at full size, and the quad in it."""

    photograph: NDArray[np.uint8]
    quad: Array

    def paste(self, reader: PhotoReader, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the photograph with the person as in ``after``; ``before`` shows them unposed. Both are [h, h, 3]."""
        return paste(reader, self.photograph, self.quad, before, after)


def place_of(who: Identity, data: bytes | None) -> Place:
    """Returns where ``who`` goes in the picture's file ``data``; None: the file that the person's own file holds.

    Raises NoPlaceError or PictureFileError.
    """
    person = who.person
    if person is None or person.quad is None:
        raise NoPlaceError("this person was not made from a picture: there is nothing to paste into")
    found = person.picture if data is None else data
    if found is None:
        raise NoPlaceError("this person's file does not hold the picture that it was made from: name it with --picture")
    wanted = person.metadata.get("source", {}).get("sha256")
    if hashlib.sha256(found).hexdigest() != wanted:
        raise NoPlaceError("this is not the picture that the person was made from: its checksum is another")
    return Place(decode_picture(found, largest=_WHOLE), person.quad)


def paste(
    reader: PhotoReader,
    photograph: NDArray[np.uint8],  # [H, W, 3], upright
    quad: Array,  # [4, 2], as a person's file has it
    before: NDArray[np.uint8],  # [h, h, 3]: the person as in the photograph
    after: NDArray[np.uint8],  # [h, h, 3]: posed
) -> NDArray[np.uint8]:
    """Pastes a posed face into a photograph, which stays unchanged outside of the quad, bit for bit."""
    height, width, _ = photograph.shape
    crop = crop_of(quad * [width, height])
    box = _box(crop, width, height)
    out = photograph.copy()
    if min(box.right - box.left, box.bottom - box.top) < 2:
        return out
    face = _Face(
        crop,
        torch.from_numpy(after).permute(2, 0, 1)[None].float(),
        Layers.between(reader, photograph, crop, before, after),
    )
    match = face.match(photograph, box)
    for tile in box.tiles():
        _paste_tile(out, photograph, box, tile, face, match)
    return out


def _paste_tile(
    out: NDArray[np.uint8],
    photograph: NDArray[np.uint8],
    box: _Box,
    tile: _Box,
    face: _Face,
    match: ColourMatch | None,
) -> None:
    """Writes one tile of the box; as much around it is computed as blending needs."""
    around = tile.grown(_MARGIN, box)
    grid = face.grid(around)
    over = face.over(grid)
    changed = (face.inside(grid) & (_widened(over, face.crop.side) > 0))[0, 0, *tile.within(around)].numpy()
    if not changed.any():
        return
    painted = face.painted(grid)
    under = torch.from_numpy(photograph[around.slices].copy()).permute(2, 0, 1)[None].float()
    matched = painted if match is None else match(painted)
    posed = face.before_background(matched, under, grid)
    blended = _blended(posed, under, over * face.inside(grid)).clamp(0, 255).round().byte()
    out[tile.slices][changed] = blended[0, :, *tile.within(around)].permute(1, 2, 0).numpy()[changed]


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle of a picture, in whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def tiles(self) -> Iterator[_Box]:
        """Yields parts of at most _TILE pixels a side, so that large photographs do not need more memory."""
        for top in range(self.top, self.bottom, _TILE):
            for left in range(self.left, self.right, _TILE):
                yield _Box(left, top, min(left + _TILE, self.right), min(top + _TILE, self.bottom))

    def grown(self, by: int, most: _Box) -> _Box:
        return _Box(
            max(self.left - by, most.left), max(self.top - by, most.top),
            min(self.right + by, most.right), min(self.bottom + by, most.bottom),
        )  # fmt: skip

    def within(self, around: _Box) -> tuple[slice, slice]:
        """Returns rows and columns of this box within the box ``around``."""
        rows, columns = (
            slice(each.start - at, each.stop - at)
            for each, at in zip(self.slices, (around.top, around.left), strict=True)
        )
        return rows, columns


@dataclass(frozen=True, slots=True)
class _Face:
    """What is pasted into a photograph.

    A grid [1, h, w, 2] holds for pixels of the photograph their places in the crop, from −1 to 1.
    """

    crop: Crop  # where it belongs
    picture: Tensor  # [1, 3, h, h] in 0 … 255
    layers: Layers

    def grid(self, box: _Box, step: int = 1) -> Tensor:
        """Returns the grid of every ``step``-th pixel of the box."""
        y, x = np.mgrid[box.top : box.bottom : step, box.left : box.right : step] + 0.5
        within = to_crop(self.crop, np.stack([x.ravel(), y.ravel()], axis=1))
        return torch.from_numpy(2 * within - 1).float().view(1, *x.shape, 2)

    def painted(self, grid: Tensor) -> Tensor:
        return _warp(self.picture, grid, self.crop.side)

    def over(self, grid: Tensor) -> Tensor:
        """Returns how much of the photograph it covers, 0 … 1."""
        return _warp(self.layers.mask, grid, self.crop.side).clamp(0, 1)

    def before_background(self, painted: Tensor, under: Tensor, grid: Tensor) -> Tensor:
        """Returns the head in ``painted`` before the photograph's background; ``under`` is the photograph there."""
        layers = self.layers
        head, hidden, behind = (
            _warp(each, grid, self.crop.side) for each in (layers.head, layers.hidden, layers.behind)
        )
        background = under + hidden.clamp(0, 1) * (behind - under)
        return background + head.clamp(0, 1) * (painted - background)

    def inside(self, grid: Tensor) -> Tensor:
        """Returns whether each pixel is in the crop, [1, 1, h, w]."""
        return (grid.abs() < 1).all(dim=-1)[None]

    def match(self, photograph: NDArray[np.uint8], box: _Box) -> ColourMatch | None:
        """Returns the match to the photograph's colours in the ring around the heads; None if that is outside of it."""
        step = max(max(box.right - box.left, box.bottom - box.top) // _SAMPLES, 1)
        grid = self.grid(box, step)
        whole = self.layers.whole
        around, within = (_warp(each, grid, self.crop.side) for each in (grown(whole, _RING), whole))
        ring = (around - within.clamp(0, 1)).clamp(0, 1) * self.inside(grid)
        if float(ring.sum()) < 1:
            return None
        under = torch.from_numpy(photograph[box.slices][::step, ::step].copy()).permute(2, 0, 1)[None].float()
        return ColourMatch.between(self.painted(grid), under, ring)


def _box(crop: Crop, width: int, height: int) -> _Box:
    """Returns the part of a picture that the crop covers."""
    corners = crop.to_picture(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    left, top = (int(np.clip(v, 0, n)) for v, n in zip(low, (width, height), strict=True))
    right, bottom = (int(np.clip(v, 0, n)) for v, n in zip(high, (width, height), strict=True))
    return _Box(left, top, right, bottom)


def _warp(picture: Tensor, grid: Tensor, side: float) -> Tensor:
    """Samples a square picture [1, C, h, h]; if it is shrunk, its pixels are averaged first."""
    shrink = int(picture.shape[-1] / side)
    if shrink > 1:
        picture = F.avg_pool2d(picture, shrink, ceil_mode=True, count_include_pad=False)
    return F.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False)


def _widened(mask: Tensor, side: float) -> Tensor:
    """Widens a mask as far as blending reaches."""
    reach = min(2**_BANDS, max(int(EDGE * side / 2), 1))
    across = F.max_pool2d((mask > 0).float(), (1, 2 * reach + 1), stride=1, padding=(0, reach))
    return F.max_pool2d(across, (2 * reach + 1, 1), stride=1, padding=(reach, 0))


def _blended(painted: Tensor, under: Tensor, mask: Tensor) -> Tensor:
    """Blends band by band of a Laplacian pyramid, with a mask that is the softer the coarser the band is."""
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
