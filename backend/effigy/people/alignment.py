# SPDX-License-Identifier: Apache-2.0
"""Cuts a face out of a photograph as the generator's training pictures were cut, and maps points back.

"model" works for any generator: the face is brought to where the model's own average face lies when it is turned alike.
"ffhq" is the alignment of FFHQ, and so of most public generators, by eyes and mouth (Karras et al., *A Style-Based
Generator Architecture for GANs*, CVPR 2019, appendix A). "whole" takes the picture as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effigy_protocol.messages import Alignment

from ..faces import FaceModel
from ..faces.photo_map import Features
from ..faces.picture_reading import find_faces
from ..geometry.camera import Array
from ..landmarks.photo import Crop, Face, PhotoReader, cut, onto

ALIGNMENTS: tuple[Alignment, ...] = get_args(Alignment)

_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
_FRAMED = 0.05  # of its side: a picture counts as already cut if its corners are so near to those of the cut
# Of MediaPipe's points, the rings of both eyes and the corners of the mouth; that at the picture's left is first.
_EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
_MOUTH = (61, 291)


class UnfitModelError(Exception):
    """A face model that cannot make people of pictures; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A face that was cut out of a picture as the model's pictures are."""

    picture: Tensor  # [1, 3, H, W] in [−1, 1]
    crop: Crop  # where it was, in the picture's pixels
    face: Face
    faces: int  # in the picture
    framed: bool  # whether the picture was cut like this already, so that all of it was taken

    @property
    def quad(self) -> Array:
        """The corners in the picture's pixels, [4, 2], clockwise from the one that becomes the upper left."""
        return self.crop.to_picture(_CORNERS)

    def pixels(self) -> NDArray[np.uint8]:
        """Returns what was cut out, [H, W, 3]."""
        return pixels_of(self.picture)

    def in_cut(self, points: Array) -> Array:
        """Maps points [N, 2] from the picture's pixels to those of the cut."""
        return to_crop(self.crop, points) * self.picture.shape[-1]


def pixels_of(picture: Tensor) -> NDArray[np.uint8]:
    """Rounds a picture [1, 3, H, W] in [−1, 1] to uint8 [H, W, 3]."""
    whole = (picture[0].detach().clamp(-1, 1) * 127.5 + 127.5).round().byte()
    return np.ascontiguousarray(whole.permute(1, 2, 0).cpu().numpy())


def align(
    model: FaceModel,
    reader: PhotoReader,
    picture: NDArray[np.uint8],  # [H, W, 3], upright
    number: int = 1,  # which face; 1 is the largest
    how: Alignment = "auto",  # "model", unless the picture is already cut like that
) -> Aligned:
    """Finds a face in a picture and cuts it out.

    Raises NoFaceError, or UnfitModelError for a model whose pictures are not square or show no photographic faces.
    """
    height, width = model.generator.resolution
    if height != width:
        raise UnfitModelError(f"{model.name} paints pictures of {width} × {height}: a face's are square")
    faces = find_faces(reader, picture, number)
    face = faces[number - 1]
    whole = Crop(picture.shape[1] / 2, picture.shape[0] / 2, float(max(picture.shape[:2])))
    crop = {"whole": lambda: whole, "ffhq": lambda: ffhq_crop(face)}.get(how, lambda: model_crop(model, reader, face))()
    framed = how == "whole" or (how == "auto" and len(set(picture.shape[:2])) == 1 and _is_near(crop, whole))
    if framed:
        crop = whole
    pixels = cut(torch.from_numpy(picture).to(model.generator.device), crop, width)
    return Aligned((2 * pixels - 1).permute(2, 0, 1)[None].contiguous(), crop, face, len(faces), framed)


def ffhq_crop(face: Face) -> Crop:
    """Returns the crop of FFHQ's alignment."""
    points = face.points[:, :2]
    left, right = (points[list(ring)].mean(axis=0) for ring in _EYES)
    between, mouth = (left + right) / 2, points[list(_MOUTH)].mean(axis=0)
    across, down = right - left, mouth - between
    x = across + np.array([down[1], -down[0]])
    x *= max(2.0 * np.linalg.norm(across), 1.8 * np.linalg.norm(down)) / max(float(np.linalg.norm(x)), 1e-9)
    centre = between + 0.1 * down
    return Crop(float(centre[0]), float(centre[1]), 2 * float(np.linalg.norm(x)), float(np.arctan2(x[1], x[0])))


def model_crop(model: FaceModel, reader: PhotoReader, face: Face) -> Crop:
    """Returns the crop that brings the face to where the model's average face lies when it is turned alike.

    Raises UnfitModelError where no face is found in the model's picture.
    """
    average = model.open_seed(0, truncation=0.0)
    ws = average.ws
    if model.photo_map is not None:
        yaw, pitch, _ = model.photo_map.read_pose(Features.of(face))
        ws = model.edit(average, yaw, pitch, {}).ws
    painted = model.paint(ws[None])[0, ..., :3]
    seen = reader.read(painted, most=1)
    if not seen:
        raise UnfitModelError(f"no photographic face is seen in the pictures of {model.name}")
    return onto(face.points, seen[0].points / len(painted))


def to_crop(crop: Crop, points: Array) -> Array:
    """Inverts ``Crop.to_picture``: points [N, 2] in pixels → [0, 1] over the crop."""
    M = crop.matrix()
    return np.asarray((points - M[:, 2]) @ np.linalg.inv(M[:, :2]).T)


def crop_of(quad: Array) -> Crop:
    """Inverts ``Aligned.quad``: returns the crop with the corners ``quad`` [4, 2]."""
    across = quad[1] - quad[0]
    x, y = quad.mean(axis=0)
    return Crop(float(x), float(y), float(np.linalg.norm(across)), float(np.arctan2(across[1], across[0])))


def _is_near(crop: Crop, whole: Crop) -> bool:
    apart = crop.to_picture(_CORNERS) - whole.to_picture(_CORNERS)
    return bool(np.linalg.norm(apart, axis=1).max() < _FRAMED * whole.side)
