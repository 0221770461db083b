# SPDX-License-Identifier: Apache-2.0
"""The base class of generators' networks: modules with known settings that paint latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn


class Config(Protocol):
    """The shape of a network; a frozen dataclass, so that it can be written into a file."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def z_dim(self) -> int: ...
    @property
    def w_dim(self) -> int: ...
    @property
    def num_ws(self) -> int:
        """Rows of w+: one for each layer that takes a style."""

    @property
    def resolution(self) -> tuple[int, int]:
        """(height, width) of the pictures."""

    @property
    def planes(self) -> tuple[str, ...]:
        """What the channels of the pictures are, by name: see ``planes``."""


class Network(nn.Module):
    """A generator as a PyTorch module; implements ``effigy.generators.Generator``. Architectures derive from it.

    Each picture of a batch has the bits that it has when it is painted alone.
    """

    bfloat16_previews: ClassVar[bool] = False
    """Whether previews in bfloat16 differ by at most 0.5 % of the pictures' contrast, on average."""

    compiler_options: ClassVar[Mapping[str, Any]] = {}
    """Options of PyTorch's Inductor that this network needs to be compiled well."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config: Any = config  # of the architecture's own type
        self.z_dim, self.w_dim, self.num_ws = config.z_dim, config.w_dim, config.num_ws
        self.resolution = config.resolution  # height, width
        self.planes = config.planes
        self.is_frozen = False

    @property
    def device(self) -> torch.device:
        return next(iter(self.state_dict(keep_vars=True).values())).device

    def freeze(self, dtype: torch.dtype = torch.float32) -> None:
        """Makes the weights constants and folds all that can be, once; synthesis then computes in ``dtype``."""
        if self.is_frozen:
            raise ValueError("this generator is frozen already")
        self.is_frozen = True
        self.requires_grad_(requires_grad=False).eval()

    def map(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """z [N, z_dim] → w+ [N, num_ws, w_dim], pulled to the mean of w by 1 − ``truncation_psi``."""
        raise NotImplementedError

    def synthesize(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → pictures [N, C, H, W] float32, nominally in [−1, 1], not clamped; differentiable."""
        raise NotImplementedError

    @property
    def has_styles(self) -> bool:
        """Whether its layers read styles from w, so that ``styles`` can be asked for."""
        return False

    def styles(self, ws: Tensor) -> list[Tensor]:
        """w+ [N, num_ws, w_dim] → the style of each layer [N, …], in order, where ``has_styles``."""
        raise NotImplementedError

    @property
    def paints_half(self) -> bool:
        """Whether pictures of half the width and height cost much less than whole ones."""
        return False

    def synthesize_half(self, ws: Tensor) -> Tensor:
        """w+ [N, num_ws, w_dim] → pictures [N, C, H/2, W/2], where ``paints_half``."""
        raise NotImplementedError
