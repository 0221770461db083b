# SPDX-License-Identifier: Apache-2.0
"""What every format of generator file comes to: a network's shape, and its tensors under the official names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..networks.stylegan2 import StyleGAN2Config
from ..networks.stylegan3 import StyleGAN3Config

Config = StyleGAN2Config | StyleGAN3Config


class GeneratorFileError(Exception):
    """A generator file that is absent, damaged, or not of a known format."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor of a file, which is read when ``read`` is called."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened generator file. ``remarks``: what it does not say, and what is assumed instead."""

    format: str
    config: Config
    tensors: dict[str, Weight]
    licence: str
    remarks: tuple[str, ...] = ()
