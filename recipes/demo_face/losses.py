# SPDX-License-Identifier: Apache-2.0
"""The losses of the generator's training, and where in a picture an error counts most."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_EDIT = 1e-3  # mean square of a change of picture, in [−1, 1]: smaller ones are not enlarged beyond that


def sharpened(pictures: Tensor, amount: float) -> Tensor:
    """Returns pictures [N, 3, S, S] − ``amount`` · Laplacian / 4: pixels differ more from their neighbours."""
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    around = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1] + padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:]
    return pictures + amount * (pictures - around / 4)


def attention(landmarks: Tensor, alpha: Tensor) -> Tensor:
    """Returns weights [N, 1, S, S] of mean 1: most on eyes and mouth, some on the nose, less on hair, little behind.

    ``landmarks`` [N, 70, 2] in pixels; ``alpha`` [N, S, S] in 0..1.
    """
    size = alpha.shape[-1]
    unit = size / 128
    grid = torch.arange(size, device=landmarks.device) + 0.5
    # Hair is the last to be learnt: with the background's weight it held three quarters of the squared error.
    weight = 0.5 + 0.8 * alpha
    for points, (width, height), strength in (
        (landmarks[:, 27:36], (34, 40), 0.9),
        (landmarks[:, 36:42], (11, 10), 3.0),
        (landmarks[:, 42:48], (11, 10), 3.0),
        (landmarks[:, 68:69], (6, 4), 6.0),  # irises: where they look is a matter of few pixels
        (landmarks[:, 69:70], (6, 4), 6.0),
        (landmarks[:, 48:68], (15, 12), 3.0),
    ):
        x, y = points.mean(dim=1).unbind(dim=1)
        across = ((grid[None, None, :] - x[:, None, None]) / (width * unit)) ** 2
        down = ((grid[None, :, None] - y[:, None, None]) / (height * unit)) ** 2
        weight = weight + strength * torch.exp(-across - down)
    return (weight / weight.mean(dim=(1, 2), keepdim=True))[:, None]


def regression_loss(painted: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Computes the weighted L1 of pictures in three sizes, and of neighbours' differences, which keep edges sharp."""
    loss = painted.new_zeros(())
    for level in range(3):
        error = painted - wanted
        loss = loss + (1.0 if level == 0 else 0.5) * (weight * error.abs()).mean()
        if level < 2:
            down = (weight[:, :, 1:] * (error[:, :, 1:] - error[:, :, :-1]).abs()).mean()
            across = (weight[..., 1:] * (error[..., 1:] - error[..., :-1]).abs()).mean()
            loss = loss + 1.2 * (down + across)
            painted, wanted, weight = (F.avg_pool2d(plane, 2) for plane in (painted, wanted, weight))
    return loss


def edit_loss(painted: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Computes the share of the change from the first to the second picture of a pair that is missed, mean over pairs.

    [2k] and [2k + 1] are a pair. The error of a whole picture hardly notices where its eyes look.
    """
    weight = (weight[::2] + weight[1::2]) / 2
    asked = wanted[1::2] - wanted[::2]
    missed = painted[1::2] - painted[::2] - asked
    energies = [(weight * change.square()).mean(dim=(1, 2, 3)) for change in (missed, asked)]
    return (energies[0] / energies[1].clamp_min(LEAST_EDIT)).mean()
