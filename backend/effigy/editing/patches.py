# SPDX-License-Identifier: Apache-2.0
"""Colours of a picture at named places of the head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry import ShapeModel, project
from ..geometry.camera import Array, Camera
from ..geometry.topology import Patch

THUMBNAIL = 64  # pixels of a side of the pictures that the heads are learnt on
# Of the picture, where no head is: its upper corners, in [0, 1].
_BACKGROUND = {"backgroundRight": (0.05, 0.05), "backgroundLeft": (0.95, 0.05)}
_SPREAD = 0.09  # outer-eye distances between the taps of which a colour is the mean


def patch_names(patches: Mapping[str, Patch]) -> tuple[str, ...]:
    """Of the P places where colours are read: ``patches`` and the background; none where there are no patches."""
    return (*patches, *_BACKGROUND) if patches else ()


def patch_points(
    patches: Mapping[str, Patch], shape: ShapeModel, alpha: Array, camera: Camera, aside: tuple[float, float] = (0, 0)
) -> Array:
    """Where the N cameras see ``patches`` of faces with the coefficients ``alpha`` [N, K], and the background.

    [N, 2, P] in [0, 1]. ``aside`` (x, y) moves the patches in the face frame, in outer-eye distances.
    """
    X = np.empty((len(camera), 3, len(patches)))
    for number, patch in enumerate(patches.values()):
        marks = list(patch.landmarks)
        X[:, :, number] = shape.mean[:, marks].mean(axis=1) + patch.offset + (*aside, 0.0)
        if patch.moves:
            X[:, :, number] += alpha @ shape.basis[:, :, marks].mean(axis=2)
    corners = np.broadcast_to(np.array(list(_BACKGROUND.values())).T, (len(camera), 2, len(_BACKGROUND)))
    return np.concatenate([project(X, camera), corners], axis=2)


def patch_colours(pictures: Tensor, points: Array, scale: Array) -> Array:
    """The mean colours [N, P, 3] around ``points`` [N, 2, P] of ``pictures`` [N, 3, H, W], in the pictures' units.

    Of 3 × 3 bilinear taps, _SPREAD apart on heads whose outer-eye distance is ``scale`` [N] of the picture's width.
    Outside the picture its edge counts.
    """
    steps = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)])
    taps = points.transpose(0, 2, 1)[:, :, None] + _SPREAD * scale[:, None, None, None] * steps
    grid = torch.from_numpy(2 * taps - 1).float()
    read = F.grid_sample(pictures.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return read.mean(dim=3).transpose(1, 2).numpy().astype(np.float64)
