# SPDX-License-Identifier: Apache-2.0
"""The common result of reading any generator file: a network's configuration, and its tensors under the official
names.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..networks.network import Config
from ..weights import Weight

__all__ = ["Checkpoint", "Config", "GeneratorFileError", "Weight"]


class GeneratorFileError(Exception):
    """A generator file that is absent, damaged, or not of a known format."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An open generator file. ``remarks``: what the file does not say, and what is assumed instead."""

    format: str
    config: Config
    tensors: dict[str, Weight]
    licence: str
    remarks: tuple[str, ...] = ()
