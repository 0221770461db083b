# SPDX-License-Identifier: Apache-2.0
"""Which landmark detectors there are, by name. One more is registered; nothing else need change.

A package may bring some: as entry points of the group ``effigy.detectors``, each a ``DetectorKind``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from ..plugins import load_plugins
from .detector import Detector, DetectorError


@dataclass(frozen=True, slots=True)
class Asked:
    """What to open a detector with."""

    name: str  # as the user gave it
    embedded: Path  # weights of the embedded detector that goes with the face model in question
    device: str  # of PyTorch


@dataclass(frozen=True, slots=True)
class DetectorKind:
    """A detector that can be opened.

    ``name`` is what users call it; one that begins with a dot stands for every file that ends so. ``usage`` completes
    the sentence "use …". ``topology``: the landmark set that it finds, None where its weights decide. ``open`` raises
    DetectorError that says what is missing and where to get it; what it needs is imported there and not before.
    """

    name: str
    usage: str
    topology: str | None
    open: Callable[[Asked], Detector]

    def is_meant_by(self, name: str) -> bool:
        """Whether a user who gives ``name`` means this detector."""
        return name.endswith(self.name) if self.name.startswith(".") else name == self.name


_REGISTERED: dict[str, DetectorKind] = {}


def register(kind: DetectorKind) -> None:
    """Makes a detector known. Raises ValueError where another one has its name."""
    if _REGISTERED.setdefault(kind.name, kind) != kind:
        raise ValueError(f"two landmark detectors are called {kind.name}")


def detectors() -> tuple[DetectorKind, ...]:
    """All that are registered, Effigy's own first."""
    _load_plugins()
    return tuple(_REGISTERED.values())


def load_detector(name: str, embedded: Path, device: str = "auto") -> Detector:
    """The detector that ``name`` means, on ``device`` ("auto": CUDA when there is one).

    ``embedded`` is the file with the weights of the one that is called so. Raises DetectorError that says what is
    missing and where to put it.
    """
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    for kind in detectors():
        if kind.is_meant_by(name):
            return kind.open(Asked(name, embedded, where))
    *others, last = (kind.usage for kind in detectors())
    raise DetectorError(f"unknown detector {name!r}: use {', '.join(others)}, or {last}")


@cache
def _load_plugins() -> None:
    load_plugins("effigy.detectors", register)
