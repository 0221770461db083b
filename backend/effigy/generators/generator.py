# SPDX-License-Identifier: Apache-2.0
"""The interface of generators to the rest of the backend."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Generator(Protocol):
    """A pretrained generator G: w → picture, with the mapping z → w in front of it.

    Deterministic: the same latents give the same pictures, and each picture of a batch is independent
    of the others in it.
    """

    @property
    def resolution(self) -> tuple[int, int]:
        """(height, width) of the pictures."""

    @property
    def planes(self) -> tuple[str, ...]:
        """What the C channels of its pictures are, by name: see ``planes``."""

    @property
    def z_dim(self) -> int: ...

    @property
    def w_dim(self) -> int: ...

    @property
    def num_ws(self) -> int:
        """Rows of w+: one per layer that takes a style."""

    @property
    def device(self) -> torch.device: ...

    def map(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """z [N, z_dim] → w+ [N, num_ws, w_dim], every row w_avg + psi (w − w_avg)."""

    def synthesize(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → pictures [N, C, H, W] float32, nominally in [−1, 1], not clamped.

        Differentiable in ``ws``.
        """

    @property
    def has_styles(self) -> bool:
        """Whether its layers read styles from w, so that ``styles`` can be asked for."""

    def styles(self, ws: Tensor) -> list[Tensor]:
        """w+ [N, num_ws, w_dim] → the style of each layer [N, …], in order, where ``has_styles``."""

    @property
    def paints_half(self) -> bool:
        """Whether pictures of half the width and height cost much less than whole ones."""

    def synthesize_half(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → pictures [N, C, H/2, W/2], where ``paints_half``."""
