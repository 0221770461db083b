# SPDX-License-Identifier: Apache-2.0
"""Finds faces in a picture with BlazeFace: its short-range and full-range networks, then in tiles if neither finds any.

Bazarevsky et al., *BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs*, 2019. Boxes of one face are
averaged, weighted by their scores, as in that paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...tflite import TFLiteNetwork
from .crop import Array, Crop, cut

# The least score of a face's box. False boxes of the far network are refused later, by the mesh network.
_NEAR, _FAR = 0.5, 0.3
_SAME = 0.3  # intersection over union, above which two boxes are of one face
_AROUND = 1.5  # the mesh network's crop, in longer sides of the box
_RIGHT_EYE, _LEFT_EYE = 0, 1  # of the six points of a box
_WIDER = 1.4  # the margin with which a picture is searched again, as a face that fills it is found only so


@dataclass(frozen=True, slots=True)
class Box:
    """A found face: corners (left, top, right, bottom) and six points [6, 2], in pixels."""

    score: float
    corners: Array
    points: Array

    @property
    def size(self) -> float:
        return float(max(self.corners[2:] - self.corners[:2]))

    def crop(self) -> Crop:
        """Returns the square around the face that is upright by its eyes."""
        x, y = (self.corners[:2] + self.corners[2:]) / 2
        across = self.points[_LEFT_EYE] - self.points[_RIGHT_EYE]
        return Crop(float(x), float(y), _AROUND * self.size, math.atan2(across[1], across[0]))


@dataclass(frozen=True, slots=True)
class _Network:
    """A detection network with what is needed to decode its output."""

    run: TFLiteNetwork
    anchors: Array  # [A, 2], to which its boxes are relative
    least: float  # score of a box that is kept


class FaceFinder:
    """Finds faces of any size."""

    def __init__(self, near: TFLiteNetwork, far: TFLiteNetwork) -> None:
        """``near`` and ``far`` as in ``weights.NETWORKS``."""
        self._near = _Network(near, _anchors(near.input_shape[1], {8: 2, 16: 6}), _NEAR)
        self._far = _Network(far, _anchors(far.input_shape[1], {4: 1}), _FAR)

    def find(self, picture: Tensor) -> Iterator[list[Box]]:
        """Yields lists of boxes in a picture [H, W, 3] uint8, the largest first, each from a more thorough search.

        Ask for the next list only if no box of the previous one turned out to be a face.
        """
        whole = _whole(picture)
        yield self._see(picture, [whole], (self._near, self._far))
        yield self._see(picture, [Crop(whole.x, whole.y, _WIDER * whole.side)], (self._near,))
        tiles = [
            Crop(2 * whole.x * (0.25 + 0.25 * column), 2 * whole.y * (0.25 + 0.25 * row), whole.side / 2)
            for row in range(3)
            for column in range(3)
        ]
        yield self._see(picture, tiles, (self._far,))

    @torch.inference_mode()
    def find_near(self, pictures: list[Tensor]) -> list[Box | None]:
        """Returns the largest face of each picture, among those that the quickest search finds."""
        found = self._look(self._near, pictures, [_whole(picture) for picture in pictures])
        return [_by_size(boxes)[0] if boxes else None for boxes in found]

    @torch.inference_mode()
    def _see(self, picture: Tensor, crops: list[Crop], networks: tuple[_Network, ...]) -> list[Box]:
        """Returns the boxes that the networks find in crops of one picture, the largest first."""
        seen = [self._look(network, [picture] * len(crops), crops) for network in networks]
        return _by_size(_merge([box for crop in seen for boxes in crop for box in boxes]))

    def _look(self, network: _Network, pictures: list[Tensor], crops: list[Crop]) -> list[list[Box]]:
        """Returns the boxes that a network finds in a crop of each picture."""
        size = network.run.input_shape[1]
        cuts = torch.stack([cut(p, crop, size, black=True) for p, crop in zip(pictures, crops, strict=True)])
        outputs, logits = (output.cpu().double().numpy() for output in network.run(2 * cuts - 1))
        scores = 1 / (1 + np.exp(-np.clip(logits[..., 0], -100, 100)))
        found = []
        for rows, score, crop in zip(outputs, scores, crops, strict=True):
            seen = score >= network.least
            # Each row: the box's centre and size, then six points, from the anchor, in pixels of the network's.
            values = rows[seen].reshape(-1, 8, 2) / size
            centre, extent = values[:, 0] + network.anchors[seen], values[:, 1]
            spots = np.stack([centre - extent / 2, centre + extent / 2], axis=1)
            spots = crop.to_picture(np.concatenate([spots, values[:, 2:] + network.anchors[seen, None]], axis=1))
            boxes = [Box(float(s), p[:2].ravel(), p[2:]) for s, p in zip(score[seen], spots, strict=True)]
            found.append(_merge(boxes))
        return found


def _whole(picture: Tensor) -> Crop:
    height, width, _ = picture.shape
    return Crop(width / 2, height / 2, float(max(height, width)))


def _by_size(boxes: list[Box]) -> list[Box]:
    return sorted(boxes, key=lambda box: -box.size)


def _anchors(size: int, per_stride: dict[int, int]) -> Array:
    """Returns the centres [A, 2] in [0, 1] of the cells of each stride, each as often as it has boxes."""
    centres = []
    for stride, boxes in per_stride.items():
        middle = (np.arange(size // stride) + 0.5) * stride / size
        y, x = np.meshgrid(middle, middle, indexing="ij")
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), boxes, axis=0))
    return np.concatenate(centres)


def _merge(boxes: list[Box]) -> list[Box]:
    """Merges the boxes of each face into their mean, weighted by score."""
    left = sorted(boxes, key=lambda box: -box.score)
    merged = []
    while left:
        same = [box for box in left if _overlap(left[0], box) > _SAME or box is left[0]]
        weights = np.array([box.score for box in same]) / sum(box.score for box in same)
        corners = np.einsum("n,nc->c", weights, np.stack([box.corners for box in same]))
        points = np.einsum("n,npc->pc", weights, np.stack([box.points for box in same]))
        merged.append(Box(same[0].score, corners, points))
        left = [box for box in left if not any(box is one for one in same)]
    return merged


def _overlap(a: Box, b: Box) -> float:
    """Returns the intersection of two boxes over their union."""
    extent = np.minimum(a.corners[2:], b.corners[2:]) - np.maximum(a.corners[:2], b.corners[:2])
    shared = float(np.prod(np.maximum(extent, 0)))
    areas = sum(float(np.prod(np.maximum(box.corners[2:] - box.corners[:2], 0))) for box in (a, b))
    return shared / (areas - shared) if areas > shared else 0.0
