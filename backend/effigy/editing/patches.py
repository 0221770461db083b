# SPDX-License-Identifier: Apache-2.0
"""Reads colours of a picture at named places of the head, and of its background."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry import ShapeModel, project
from ..geometry.camera import Array, Camera
from ..geometry.topology import Patch

THUMBNAIL = 64  # pixels of a side, of the pictures that the appearance heads are trained on
# Points (x, y) of the picture in [0, 1] where no head is: its upper corners.
_BACKGROUND = {"backgroundRight": (0.05, 0.05), "backgroundLeft": (0.95, 0.05)}
_SPREAD = 0.09  # outer-eye distances between neighbouring samples of a patch


def patch_names(patches: Mapping[str, Patch]) -> tuple[str, ...]:
    """Returns the names of the P places where colours are read: ``patches``, then the background's if there are any."""
    return (*patches, *_BACKGROUND) if patches else ()


def patch_points(
    patches: Mapping[str, Patch], shape: ShapeModel, alpha: Array, camera: Camera, aside: tuple[float, float] = (0, 0)
) -> Array:
    """Projects ``patches`` of faces with the coefficients ``alpha`` [N, K] to their pictures.

    Returns [N, 2, P] in [0, 1], the points of the background last. ``aside`` (x, y) moves the patches in the face
    frame, in outer-eye distances.
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
    """Returns the mean colours [N, P, 3] around ``points`` [N, 2, P] of ``pictures`` [N, 3, H, W], in their units.

    A colour is the mean of 3 × 3 bilinear samples that are _SPREAD apart on the head, whose outer-eye distance is
    ``scale`` [N] of the picture's width. Beyond the picture's edge its last pixel is repeated.
    """
    steps = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)])
    taps = points.transpose(0, 2, 1)[:, :, None] + _SPREAD * scale[:, None, None, None] * steps
    grid = torch.from_numpy(2 * taps - 1).float()
    read = F.grid_sample(pictures.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return read.mean(dim=3).transpose(1, 2).numpy().astype(np.float64)
