# SPDX-License-Identifier: Apache-2.0
"""Computes how a photograph would look with an expression, as examples for tuning.

A generator that is tuned to one picture learns to paint that picture for all latents around it: lids stay open, since
the photograph's open eyes are painted over them. So for each control it is also shown a moved photograph, put together
of three pictures that are warped to the same points, where the photograph's face comes to with the expression:

    moved photograph = model's picture with the expression + (photograph − model's picture without it)

The difference is how the person looks unlike the model's. It moves with the face. Where the expression shows something
else than before, such as a lid or the inside of a mouth, it is replaced by what it is around that place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from effigy_protocol.messages import Pose

from ..faces import FaceModel, Identity
from ..generators.planes import colour
from ..geometry.camera import Array
from .masks import face_mask, grown
from .objective import PhotoFace, Target, mesh_of
from .warping import warp

_STRENGTH = 0.8  # of the expressions
_NOISE = 0.002  # picture widths, by which points are found elsewhere though nothing has moved
_ANOTHER = 0.2  # a difference of pictures in [−1, 1] above which they show something else rather than the same, moved
_NEAR = 0.025  # picture widths, from which a difference is taken instead
_BESIDE = 0.008  # picture widths, within which pixels are compared together
_FOCUS = 3.0  # how much more what an expression changes counts than the rest of the face
_OUTSIDE = 0.05  # weight of what is around the face


@dataclass(frozen=True, slots=True)
class Example:
    """How a person's picture should look for a latent with an expression."""

    ws: Tensor  # [1, num_ws, w_dim]
    picture: Tensor  # [1, 3, H, W] in [−1, 1]
    weight: Tensor  # [1, 1, H, W], which sums to 1
    moved: Tensor  # [478, 2]: how the face's points move, in picture widths

    def missed(self, picture: Tensor) -> Tensor:
        """Returns the mean squared difference of ``picture``, mostly where the expression changes the face."""
        return ((picture - self.picture).square().mean(dim=1, keepdim=True) * self.weight).sum()


@torch.no_grad()
def examples(model: FaceModel, identity: Identity, target: Target, face: PhotoFace) -> Iterator[Example]:
    """Yields an example for each control of the model."""
    pose, average = identity.pose, model.open_seed(0, truncation=0.0)
    rest = _painted(model, _latent(model, identity, pose, {}))
    average_rest = _points(_painted(model, _latent(model, average, pose, {})), face)
    of_rest, of_photograph = _points(rest, face), _points(target.picture, face)
    for control in model.controls:
        asked = {control: _STRENGTH}
        # The person's own latent may be far from all samples, and there a control would move the points less.
        moved = _movement(average_rest, _points(_painted(model, _latent(model, average, pose, asked)), face))
        ws, to = _latent(model, identity, pose, asked), of_photograph + moved
        edited = _painted(model, ws)
        of_edited = of_rest + _movement(of_rest, _points(edited, face))
        photograph = warp(target.picture, of_photograph, to)
        picture = _moved(photograph, warp(edited, of_edited, to), warp(rest, of_rest, to))
        weight = _weight(picture, target.picture, face, to)
        yield Example(ws, picture, weight, torch.from_numpy(moved).float().to(picture.device))


def _latent(model: FaceModel, who: Identity, pose: Pose, asked: dict[str, float]) -> Tensor:
    """Returns the latent [1, num_ws, w_dim] of ``who``, turned to ``pose``, with these controls."""
    return model.edit(who, pose.yaw, pose.pitch, asked).ws[None].to(model.generator.device)


def _painted(model: FaceModel, ws: Tensor) -> Tensor:
    return colour(model.generator.synthesize(ws), model.generator.planes)


def _points(picture: Tensor, face: PhotoFace) -> Array:
    return mesh_of(picture, face).cpu().double().numpy()


def _movement(rest: Array, there: Array) -> Array:
    """Returns how points [N, 2] move from one picture to another, less what is noise in finding them."""
    moved = there - rest
    far = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(moved * (1 - (_NOISE / np.maximum(far, _NOISE)) ** 2))


def _moved(photograph: Tensor, shown: Tensor, hidden: Tensor) -> Tensor:
    """Returns the moved photograph [1, 3, H, W] of three pictures that are warped to the same points.

    These are the photograph, and the model's picture with the expression and without it.
    """
    apart = _mean_around((shown - hidden).abs().mean(dim=1, keepdim=True))
    apart = grown(apart, _reach(apart) / apart.shape[-1])
    same = 1 / (1 + (apart / _ANOTHER).square())
    own = photograph - hidden
    near = _NEAR * photograph.shape[-1]
    around = _blurred(own * same, near) / _blurred(same, near).clamp_min(1e-3)
    return (shown + same * own + (1 - same) * around).clamp(-1, 1)


def _weight(picture: Tensor, rest: Tensor, face: PhotoFace, to: Array) -> Tensor:
    """Returns how much each pixel of an example counts; ``rest`` is the photograph and ``to`` its moved points."""
    size = picture.shape[-1]
    there = torch.from_numpy(face_mask(to * size, size)).float().to(picture.device)[None, None]
    mask = torch.maximum(face.mask, there)
    change = _mean_around((picture - rest).abs().mean(dim=1, keepdim=True) * mask)
    weight = mask * (1 + _FOCUS * change * mask.mean() / change.mean().clamp_min(1e-6)) + _OUTSIDE
    return weight / weight.sum()


def _mean_around(values: Tensor) -> Tensor:
    """Returns the means [1, 1, H, W] of the pixels within _BESIDE."""
    reach = _reach(values)
    return F.avg_pool2d(values, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)


def _reach(values: Tensor) -> int:
    return max(round(_BESIDE * values.shape[-1]), 1)


def _blurred(values: Tensor, deviation: float) -> Tensor:
    """Blurs [1, C, H, W] by a Gaussian of ``deviation`` pixels."""
    reach, channels = max(round(3 * deviation), 1), values.shape[1]
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation).square()).to(values)
    bell = (bell / bell.sum()).expand(channels, 1, 1, -1)
    padded = F.pad(values, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, bell, groups=channels), bell.transpose(2, 3), groups=channels)
