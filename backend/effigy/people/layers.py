# SPDX-License-Identifier: Apache-2.0
"""Finds what a pasted picture is made of: the posed head, and the background that the photograph's head hides.

While the head's outline stays where it was, the face alone is replaced, and hair, ears and neck stay the photograph's.
As soon as it moves, the whole head is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..geometry.camera import Array
from ..landmarks.photo import Crop, Matte, PhotoReader, cut
from ..matting.spread import spread
from .masks import face_mask, grown

_GROWN = 1.22  # the scale of the face's hull, to cover what moves with the face
# As shares of the square's side:
_SOFT = 0.03  # width of the mask's edge
_FRINGE = 0.02  # how much further hair may reach than is seen of it
_HAIR = 0.1  # how far the photograph's hair may reach beyond the painted head
_STILL, _MOVED = 0.02, 0.06  # of the head's area that it leaves or comes to: it counts as still, and as moved
EDGE = 0.06  # margin of the square in which nothing is pasted
_SIZE = 256  # pixels of a side, of all layers
_LARGEST = 1024  # pixels of a side that are averaged for them


@dataclass(frozen=True, slots=True)
class Layers:
    """Over the square, [1, 1, m, m] in 0 … 1, but for ``behind``, [1, 3, m, m] in 0 … 255."""

    mask: Tensor  # what is replaced in the photograph
    whole: Tensor  # both heads, the photograph's and the posed one
    head: Tensor  # where the posed head is
    hidden: Tensor  # where the photograph's head hides the background
    behind: Tensor  # what is there, spread from the background beside it

    @staticmethod
    def between(
        reader: PhotoReader,
        photograph: NDArray[np.uint8],  # [H, W, 3]
        crop: Crop,  # the square in it
        before: NDArray[np.uint8],  # [h, h, 3]: the person as in the photograph
        after: NDArray[np.uint8],  # [h, h, 3]: posed
    ) -> Layers:
        """Finds them. Raises DetectorError."""
        matte = Matte(reader.device)
        step = max(int(crop.side / _LARGEST), 1)
        few = replace(crop, x=crop.x / step, y=crop.y / step, side=crop.side / step)
        own = (cut(torch.from_numpy(photograph[::step, ::step].copy()), few, _SIZE) * 255).round()
        old, new = (_Head.of(reader, matte, picture) for picture in (before, after))
        above = torch.arange(_SIZE)[:, None] < old.chin  # below it is the body, which does not turn
        hidden = grown(_plane(_person(matte, own.byte())), _FRINGE) * above
        whole = _plane(np.maximum(np.maximum(old.around, old.person), np.maximum(new.around, new.person)))
        whole = torch.maximum(whole, torch.minimum(hidden, grown(whole, _HAIR)))
        face = _plane(np.maximum(old.face, new.face))
        mask = face + _moved(old, new) * (whole - face)
        behind = spread(own.numpy(), 1 - hidden[0, 0].numpy())
        colours = torch.from_numpy(behind).permute(2, 0, 1)[None].float()
        drawn = _plane(np.maximum(new.face, new.person))
        within = _within_edge()
        return Layers(mask * within, whole * within, drawn, hidden, colours)


@dataclass(frozen=True, slots=True)
class _Head:
    """Where a head is in a picture that the model has painted; masks [_SIZE, _SIZE] in 0 … 1."""

    around: Array  # what moves with the face, and more
    face: Array
    person: Array  # the head, and what the picture shows of the body
    chin: float  # row of the face's lower end

    @staticmethod
    def of(reader: PhotoReader, matte: Matte, picture: NDArray[np.uint8]) -> _Head:
        faces = reader.read(picture, most=1)
        points = faces[0].points[:, :2] * (_SIZE / len(picture)) if faces else _oval()
        person = _person(matte, torch.from_numpy(picture))
        around, face = (face_mask(points, _SIZE, scale, _SOFT * _SIZE) for scale in (_GROWN, 1.0))
        return _Head(around, face, person, float(points[:, 1].max()))


def _moved(old: _Head, new: _Head) -> float:
    """Returns how far the head's outline has moved: 0 where nothing but the face has, 1 where the head has."""
    apart = float(np.abs(new.person - old.person).sum() / max(old.person.sum(), 1.0))
    return min(max((apart - _STILL) / (_MOVED - _STILL), 0.0), 1.0)


def _person(matte: Matte, picture: Tensor) -> Array:
    """Returns where a picture [h, h, 3] uint8 shows a person, [_SIZE, _SIZE] in 0 … 1."""
    seen = matte.matte(picture)[None, None]
    seen = F.interpolate(seen, (_SIZE, _SIZE), mode="bilinear", align_corners=False)
    return seen[0, 0].cpu().double().numpy()


def _within_edge() -> Tensor:
    """Returns a mask [_SIZE, _SIZE] that falls to 0 at the square's edge."""
    from_edge = (torch.arange(_SIZE).minimum(torch.arange(_SIZE).flip(0)) + 0.5) / _SIZE
    ramp = ((from_edge - EDGE) / EDGE).clamp(0, 1)
    return ramp[:, None] * ramp


def _oval() -> Array:
    """Returns the outline of a face in the usual place, for pictures in which none is found."""
    angle = np.linspace(0, 2 * math.pi, 64)
    return np.stack([0.5 + 0.3 * np.cos(angle), 0.52 + 0.38 * np.sin(angle)], axis=1) * _SIZE


def _plane(values: Array) -> Tensor:
    return torch.from_numpy(values).float()[None, None]
