# SPDX-License-Identifier: Apache-2.0
"""The cost that inversion minimises: how far a painted face is from the wanted picture.

A picture of the generator's own is met in its pixels alone, down to their rounding. Networks' readings of it would be
met then, too; while they are not, they curve the cost in ways that the metric of latents does not know.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces import FaceModel
from ..faces.encoder import Encoder
from ..generators.planes import colour
from ..landmarks.photo import Crop, PhotoReader
from ..recognition.lpips import Distance, Lpips

_OUTSIDE = 0.2  # weight of a photograph outside of the face, as generators cannot paint its hair and background
# Of a photograph, whose pixels no latent meets:
IDENTITY = 0.02
LPIPS = 0.1  # instead, where a user has its files; with more it was not tried
# Of the points' squared distance in picture widths. With 5, eyes and mouth were found 8 % of the outer-eye distance
# beside the photograph's, and what moved there was covered by tuning.
MESH = 100.0
_TYPICAL = 0.02  # per squared standard deviation: holds photographs near faces that the generator knows
_COARSE = 4  # times smaller: counts once more of a photograph, so that colours agree where details cannot


@dataclass(frozen=True, slots=True)
class Target:
    """The wanted picture."""

    picture: Tensor  # [1, 3, H, W] in [−1, 1], cut like the generator's pictures
    face: PhotoFace | None = None  # where the face is; None for a picture of the generator's own


@dataclass(frozen=True, slots=True)
class PhotoFace:
    """Where the face of a photograph is in the target."""

    mask: Tensor  # [1, 1, H, W] in 0 … 1
    crop: Crop  # around the face, in the target's pixels
    reader: PhotoReader
    lpips: Lpips | None = None  # compares the pictures, too


@dataclass(frozen=True, slots=True)
class Judged:
    """A latent that was painted, with its picture and cost."""

    v: Tensor  # [1, M]
    picture: Tensor  # [1, 3, H, W]
    cost: Tensor  # []


class Objective:
    """Computes the cost of whitened latents v [1, M] for a target; counts the pictures that it paints."""

    def __init__(self, model: FaceModel, encoder: Encoder, target: Target) -> None:
        self._generator, self._encoder = model.generator, encoder
        whitening = model.regressor.whitening
        self._mean = whitening.mean.float().to(model.generator.device)
        self._basis = whitening.basis.float().to(model.generator.device)
        self.metric = encoder.metric if target.face is None else None  # [M, M]: of pixels, which are not all here
        self.target = target
        self.painted = 0
        with torch.no_grad():
            self._vectors = None if target.face is None else encoder.extractor(target.picture).vectors
            self._mesh = torch.zeros(0) if target.face is None else mesh_of(target.picture, target.face)
        self._unlike = unlike(target)

    @property
    def size(self) -> int:
        """M, the numbers of a latent v."""
        return len(self._basis)

    def latents(self, v: Tensor) -> Tensor:
        """v [N, M] → w [N, w_dim]."""
        return self._mean + v @ self._basis

    @torch.no_grad()
    def guess(self, picture: Tensor) -> Tensor:
        """Returns the encoder's estimate of v [1, M] from a picture [1, 3, H, W]."""
        return self._encoder(self._encoder.extractor(picture))

    def __call__(self, v: Tensor) -> Judged:
        """Paints v and computes its cost, which is differentiable in v."""
        ws = self.latents(v)[:, None].expand(-1, self._generator.num_ws, -1)
        picture = colour(self._generator.synthesize(ws), self._generator.planes)
        self.painted += 1
        cost = pixels_apart(picture, self.target)
        if (face := self.target.face) is not None:
            if self._unlike is not None:
                cost = cost + LPIPS * self._unlike(picture)
            elif self._vectors is not None and (vectors := self._encoder.extractor(picture).vectors) is not None:
                cost = cost + IDENTITY * (1 - (vectors * self._vectors).sum(dim=1)).mean()
            cost = cost + MESH * points_apart(mesh_of(picture, face), self._mesh) + _TYPICAL * v.square().mean()
        return Judged(v, picture, cost)

    def judge(self, v: Tensor) -> Judged:
        """Paints v and computes its cost, without gradients."""
        with torch.no_grad():
            judged = self(v)
        return replace(judged, v=v.detach())


def pixels_apart(picture: Tensor, target: Target) -> Tensor:
    """Returns the mean squared difference; for a photograph mostly in its face, and once more of both shrunk."""
    apart = picture - target.picture
    if target.face is None:
        return apart.square().mean()
    weight = _weight(target.face)
    return _weighted(apart, weight) + _weighted(F.avg_pool2d(apart, _COARSE), F.avg_pool2d(weight, _COARSE))


def unlike(target: Target) -> Distance | None:
    """Returns how unlike a photograph's target pictures look by LPIPS, mostly in its face; None without its files."""
    if target.face is None or target.face.lpips is None:
        return None
    return target.face.lpips.distance_to(target.picture, _weight(target.face))


def _weight(face: PhotoFace) -> Tensor:
    return _OUTSIDE + (1 - _OUTSIDE) * face.mask


def _weighted(apart: Tensor, weight: Tensor) -> Tensor:
    return (apart.square() * weight).sum() / weight.sum() / apart.shape[1]


def mesh_of(picture: Tensor, face: PhotoFace) -> Tensor:
    """Returns the points [478, 2] of a face in a picture [1, 3, H, W], in picture widths; differentiable."""
    pixels = (picture[0].clamp(-1, 1) + 1).permute(1, 2, 0) * 127.5
    return face.reader.mesh(pixels, face.crop) * (face.crop.side / picture.shape[-1])


def points_apart(points: Tensor, wanted: Tensor) -> Tensor:
    """Returns the mean squared distance of points [N, 2]."""
    return (points - wanted).square().sum(dim=1).mean()
