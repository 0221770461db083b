# SPDX-License-Identifier: Apache-2.0
"""The losses of the generator's training, and where in a picture an error counts most."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

KNEE = 0.08  # error in [−1, 1], 10 of 255: below it the gentle ``penalty`` is a square, above it grows as the other
BROAD = 64  # pixels of a side: in smaller pictures all places count alike
LEAST = 8  # pixels of a side of the smallest picture that is compared
LEAST_EDIT = 1e-3  # mean square of a change of picture, in [−1, 1]: smaller ones are not enlarged beyond that


def sharpened(pictures: Tensor, amount: float | Tensor) -> Tensor:
    """Returns pictures [N, 3, S, S] − ``amount`` · Laplacian / 4: pixels differ more from their neighbours.

    ``amount`` is one number, or one for each pixel [N, 1, S, S].
    """
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    around = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1] + padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:]
    return pictures + amount * (pictures - around / 4)


def emphasised(pictures: Tensor, amount: Tensor, alpha: Tensor) -> Tensor:
    """Returns pictures [N, 3, S, S] + ``amount`` [N, 1, S, S] · (mean around a pixel − mean farther around it).

    So what is as wide as a lock of hair stands out. Means are weighted by ``alpha`` [N, 1, S, S] in 0..1: what is
    behind a head does not count. At 128² they are of 3 and 9 pixels in both directions.
    """
    size = pictures.shape[-1]
    near, far = (_mean(pictures, alpha, reach * size // 128) for reach in (1, 4))
    return pictures + amount * (near - far)


def _mean(pictures: Tensor, weight: Tensor, reach: int) -> Tensor:
    """Returns the weighted mean of the square of 2 · ``reach`` + 1 pixels around each."""
    sums = torch.cat([pictures * weight, weight], dim=1)
    for size, margin in (((2 * reach + 1, 1), (reach, 0)), ((1, 2 * reach + 1), (0, reach))):
        sums = F.avg_pool2d(sums, size, 1, margin)
    return sums[:, :-1] / sums[:, -1:].clamp_min(1e-4)


def around_face(landmarks: Tensor, alpha: Tensor) -> Tensor:
    """Returns [N, S, S] in 0..1: what is opaque outside of the ellipse of the face: hair, ears, neck and clothes.

    ``landmarks`` [N, 70, 2] in pixels; ``alpha`` [N, S, S] in 0..1.
    """
    grid = torch.arange(alpha.shape[-1], device=landmarks.device) + 0.5
    brows, chin, jaw = landmarks[:, 17:27].mean(dim=1), landmarks[:, 8], landmarks[:, 16] - landmarks[:, 0]
    x, y = landmarks[:, 17:68, 0].mean(dim=1), (brows[:, 1] + chin[:, 1]) / 2
    height = (chin - brows).norm(dim=1)
    width = torch.maximum(jaw.norm(dim=1), 1.2 * height)  # a jaw that is seen from the side is narrow
    across = (grid[None, None, :] - x[:, None, None]) / (0.5 * width)[:, None, None]
    down = (grid[None, :, None] - y[:, None, None]) / (0.6 * height)[:, None, None]
    return alpha * torch.sigmoid(6 * (across.square() + down.square() - 1))


def inside(alpha: Tensor) -> Tensor:
    """Returns the least of ``alpha`` [N, 1, S, S] within 2 pixels of each (at 128²): 0 along the edge."""
    reach = 2 * alpha.shape[-1] // 128
    return -F.max_pool2d(-alpha, 2 * reach + 1, 1, reach)


def attention(landmarks: Tensor, alpha: Tensor, around: Tensor) -> Tensor:
    """Returns weights [N, 1, S, S] of mean 1: most on eyes, mouth and hair, some on the nose, little behind.

    ``landmarks`` [N, 70, 2] in pixels; ``alpha`` and what is ``around`` the face [N, S, S] in 0..1.
    """
    size = alpha.shape[-1]
    unit = size / 128
    grid = torch.arange(size, device=landmarks.device) + 0.5
    # Hair is the last to be learnt: with the background's weight it held three quarters of the squared error. It holds
    # half of it now, and the background, which is more than half of a picture, a third.
    weight = 0.7 + 0.6 * alpha + 4.0 * around
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


def regression_loss(painted: Tensor, wanted: Tensor, weight: Tensor, gentle: Tensor) -> Tensor:
    """Computes the penalty of pictures in all sizes down to LEAST, and of neighbours' differences in the largest two.

    Those keep edges sharp. Smaller pictures count half. ``gentle`` [N, C or 1, S, S] in 0..1 is the share of
    ``penalty`` that is squared. ``weight`` [N, 1, S, S] holds in pictures of BROAD pixels and more; in smaller ones,
    where light and outlines are wrong, all places count alike.
    """
    loss = painted.new_zeros(())
    smaller = max(0, int(math.log2(painted.shape[-1] / LEAST)))
    for level in range(1 + smaller):
        if level > 0:
            painted, wanted, weight, gentle = (F.avg_pool2d(plane, 2) for plane in (painted, wanted, weight, gentle))
        here = weight if painted.shape[-1] >= BROAD else torch.ones_like(weight)
        error = painted - wanted
        loss = loss + (1.0 if level == 0 else 0.5) * (here * penalty(error, gentle)).mean()
        if level < 2:
            down = (here[:, :, 1:] * penalty(error[:, :, 1:] - error[:, :, :-1], gentle[:, :, 1:])).mean()
            across = (here[..., 1:] * penalty(error[..., 1:] - error[..., :-1], gentle[..., 1:])).mean()
            loss = loss + 1.2 * (down + across)
    return loss


def penalty(error: Tensor, gentle: Tensor) -> Tensor:
    """Returns |error|, or where ``gentle`` is 1 Huber's loss: squares below KNEE.

    The median has the least mean |error|: where fewer than half of the pictures have a lock, that is no lock. The mean
    has the least mean square, so a faint lock is learnt first, then a clear one.
    """
    size = error.abs()
    squared = torch.where(size < KNEE, size.square() / (2 * KNEE), size - KNEE / 2)
    return size + gentle * (squared - size)


def edit_loss(painted: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Computes the share of the change from the first to the second picture of a pair that is missed, mean over pairs.

    [2k] and [2k + 1] are a pair. The error of a whole picture hardly notices where its eyes look.
    """
    weight = (weight[::2] + weight[1::2]) / 2
    asked = wanted[1::2] - wanted[::2]
    missed = painted[1::2] - painted[::2] - asked
    energies = [(weight * change.square()).mean(dim=(1, 2, 3)) for change in (missed, asked)]
    return (energies[0] / energies[1].clamp_min(LEAST_EDIT)).mean()
