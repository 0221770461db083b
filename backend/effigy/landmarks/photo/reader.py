# SPDX-License-Identifier: Apache-2.0
"""Reads the faces in a picture: finds them, cuts them out upright, and reads 478 points and 52 expression scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .crop import Array, Crop, cut
from .eyes import eyes_of
from .finder import FaceFinder
from .pose import head, mirror
from .weights import load_networks

POINTS = 478
_PRESENT = 0.5  # least presence of a face
_AROUND = 1.5  # the next crop, in longer sides of the mesh
_RIGHT_EYE, _LEFT_EYE = 33, 263  # outer corners
_LEAST = 20.0  # pixels of a face's longer side; in smaller ones, noise is taken for faces
_MOST = 16  # faces of a picture
_SAME = 0.25  # of a face's size: two faces nearer to each other are one

# The points that the scores are computed from (MediaPipe, face_blendshapes_graph.cc).
_SCORED = [
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58,
    61, 63, 65, 66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132,
    133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173,
    176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291,
    293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362,
    365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405,
    409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
]  # fmt: skip
# What the scores mean, in their order: ARKit's names, but for the first.
SCORES = (
    "neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft",
    "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft",
    "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft",
    "jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Face:
    """A face that was read. Left and right are its own.

    ``points`` are x right and y down in pixels, and z in the same unit away from the viewer, 0 in the head's middle.
    The last ten are those of the irises.
    """

    points: Array  # [478, 3]
    presence: float  # the probability that it is a face
    scores: Array  # [52] in [0, 1], in the order of ``SCORES``
    eyes: Array  # [2, 144]: what the right and the left eye look like (see ``eyes``)

    @property
    def size(self) -> float:
        """The longer side of the box around it, in pixels."""
        return float(np.ptp(self.points[:, :2], axis=0).max())

    def crop(self) -> Crop:
        """Returns the square around the face that is upright by its eyes."""
        return _crop_around(self.points)


class PhotoReader:
    """Reads faces in pictures [H, W, 3] uint8, on ``device``."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Loads the networks. Raises DetectorError."""
        self.device = torch.device(device)
        near, far, self._mesh, self._scores = load_networks(("near", "far", "mesh", "scores"), self.device)
        self._finder = FaceFinder(near, far)

    def read(self, picture: Tensor | NDArray[np.uint8], most: int = _MOST) -> list[Face]:
        """Reads up to ``most`` faces of a picture, the largest first. Returns an empty list if there is none."""
        here = self._here(picture)
        for boxes in self._finder.find(here):
            if faces := self._refined(here, [box.crop() for box in boxes[:_MOST]]):
                return faces[:most]
        return []

    def read_each(self, pictures: Tensor) -> list[Face | None]:
        """Reads the largest face of each of ``pictures`` [N, H, W, 3] uint8; None where there is none."""
        here = list(pictures.to(self.device))
        crops = {n: box.crop() for n, box in enumerate(self._finder.find_near(here)) if box is not None}
        faces = self._faces([here[number] for number in crops], list(crops.values()))
        found = dict(zip(crops, faces, strict=True))
        return [found.get(number) or next(iter(self.read(one, most=1)), None) for number, one in enumerate(here)]

    def follow(self, picture: Tensor | NDArray[np.uint8], crop: Crop) -> Face | None:
        """Reads the face within ``crop``, where it was in the film's previous picture; None if it is gone."""
        return self._faces([self._here(picture)], [crop], is_near=True)[0]

    def mesh(self, picture: Tensor, crop: Crop) -> Tensor:
        """Returns the points [478, 2], in [0, 1] over the crop, of the face within ``crop``.

        ``picture`` is [H, W, 3] from 0 to 255. It is differentiable, and does not check whether there is a face.
        """
        size = self._mesh.input_shape[1]
        mesh, _, _ = self._mesh(cut(picture, crop, size)[None])
        points: Tensor = mesh.reshape(POINTS, 3)[:, :2] / size
        return points

    def _here(self, picture: Tensor | NDArray[np.uint8]) -> Tensor:
        return torch.as_tensor(picture).to(self.device)

    def _refined(self, picture: Tensor, crops: list[Crop]) -> list[Face]:
        """Reads these crops of a picture; returns the faces in them, each once, the largest first."""
        faces: list[Face] = []
        for face in self._faces([picture] * len(crops), crops):
            if face is not None and not any(_is_same(face, other) for other in faces):
                faces.append(face)
        return sorted(faces, key=lambda face: -face.size)

    @torch.inference_mode()
    def _faces(self, pictures: list[Tensor], crops: list[Crop], *, is_near: bool = False) -> list[Face | None]:
        """Reads the face in a crop of each picture.

        It is cut out once more around the points found first, unless the crop ``is_near`` that already. Its mirror
        image is read too; the error of the mean of both is smaller by a tenth.
        """
        if not pictures:
            return []
        if not is_near:
            points, _ = self._points(self._cut(pictures, crops), crops)
            crops = [_crop_around(p) for p in points]
        cuts = self._cut(pictures, crops)
        both = self._points(torch.cat([cuts, cuts.flip(2)]), crops * 2, mirrored=len(cuts))
        points, presence = (values.reshape(2, len(cuts), *values.shape[1:]).mean(axis=0) for values in both)
        scored = torch.from_numpy(points[:, _SCORED, :2]).float().to(self.device)
        scores = self._scores(scored)[0].cpu().double().numpy()
        return [
            Face(p, float(seen), s, eyes_of(picture, p, head(p).size))
            if seen >= _PRESENT and np.ptp(p[:, :2], axis=0).max() >= _LEAST
            else None
            for picture, p, seen, s in zip(pictures, points, presence, scores, strict=True)
        ]

    def _cut(self, pictures: list[Tensor], crops: list[Crop]) -> Tensor:
        """Cuts a crop out of each picture, [N, 256, 256, 3]."""
        size = self._mesh.input_shape[1]
        return torch.stack([cut(p, crop, size) for p, crop in zip(pictures, crops, strict=True)])

    def _points(self, cuts: Tensor, crops: list[Crop], mirrored: int = 0) -> tuple[Array, Array]:
        """Returns points [N, 478, 3] in pixels and presences [N]. The last ``mirrored`` cuts are mirror images."""
        mesh, present, _ = self._mesh(cuts)
        found = mesh.reshape(len(cuts), POINTS, 3).cpu().double().numpy() / cuts.shape[1]
        if mirrored:
            found[-mirrored:] = found[-mirrored:, mirror()] * (-1, 1, 1) + (1, 0, 0)
        flat = np.stack([crop.to_picture(p[:, :2]) for p, crop in zip(found, crops, strict=True)])
        depth = found[:, :, 2] * np.array([crop.side for crop in crops])[:, None]
        return np.concatenate([flat, depth[..., None]], axis=2), torch.sigmoid(present.flatten()).cpu().numpy()


class Film:
    """Follows one face through the pictures of a film: each search starts where the face was in the picture before."""

    def __init__(self, reader: PhotoReader, number: int = 0) -> None:
        """Follows the face ``number``, counted from the largest, 0, wherever at least that many are seen."""
        self._reader, self._number = reader, number
        self._crop: Crop | None = None
        self.faces = 0  # how many there were when it was last looked for

    def read(self, picture: Tensor | NDArray[np.uint8]) -> Face | None:
        """Reads the face in the film's next picture [H, W, 3] uint8. Returns None if it is not visible."""
        face = None if self._crop is None else self._reader.follow(picture, self._crop)
        if face is None:
            faces = self._reader.read(picture)
            self.faces = len(faces)
            face = faces[self._number] if self._number < len(faces) else None
        self._crop = None if face is None else face.crop()
        return face


def _crop_around(points: Array) -> Crop:
    """Returns the square around points [478, 3] that is upright by the eyes."""
    across = points[_LEFT_EYE, :2] - points[_RIGHT_EYE, :2]
    angle = math.atan2(across[1], across[0])
    cos, sin = math.cos(angle), math.sin(angle)
    upright = np.array([[cos, sin], [-sin, cos]])
    turned = points[:, :2] @ upright.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    x, y = (low + high) / 2 @ upright
    return Crop(float(x), float(y), _AROUND * max(float((high - low).max()), 1.0), angle)


def _is_same(a: Face, b: Face) -> bool:
    apart = np.linalg.norm(a.points[:, :2].mean(axis=0) - b.points[:, :2].mean(axis=0))
    return bool(apart < _SAME * max(a.size, b.size))
