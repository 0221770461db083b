# SPDX-License-Identifier: Apache-2.0
"""The registry of landmark detectors, by name. A new one is registered; nothing else needs to change.

Other packages can add some: entry points of the group ``effigy.detectors``, each a ``DetectorKind``.
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
class DetectorOptions:
    """The arguments with which a detector is opened."""

    name: str  # as the user gave it
    embedded: Path  # weights of the embedded detector that goes with the face model in question
    device: str  # of PyTorch


@dataclass(frozen=True, slots=True)
class DetectorKind:
    """A detector that can be opened.

    ``name`` is what users type; a name that begins with a dot stands for every file with that ending. ``usage``
    completes the sentence "use …". ``topology``: the landmark set that it finds, None if its weights decide. ``open``
    imports what it needs, and raises DetectorError that says what is missing and where to get it.
    """

    name: str
    usage: str
    topology: str | None
    open: Callable[[DetectorOptions], Detector]

    def is_meant_by(self, name: str) -> bool:
        """Returns whether a user who gives ``name`` means this detector."""
        return name.endswith(self.name) if self.name.startswith(".") else name == self.name


_REGISTERED: dict[str, DetectorKind] = {}


def register(kind: DetectorKind) -> None:
    """Registers a detector. Raises ValueError if another one has its name."""
    if _REGISTERED.setdefault(kind.name, kind) != kind:
        raise ValueError(f"two landmark detectors are called {kind.name}")


def detectors() -> tuple[DetectorKind, ...]:
    """Returns all registered detectors, Effigy's own first."""
    _load_plugins()
    return tuple(_REGISTERED.values())


def load_detector(name: str, embedded: Path, device: str = "auto") -> Detector:
    """Opens the detector called ``name`` on ``device`` ("auto": CUDA if there is one).

    ``embedded`` is the weights file of the detector with that name. Raises DetectorError that says what is missing and
    where to put it.
    """
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    for kind in detectors():
        if kind.is_meant_by(name):
            return kind.open(DetectorOptions(name, embedded, where))
    *others, last = (kind.usage for kind in detectors())
    raise DetectorError(f"unknown detector {name!r}: use {', '.join(others)}, or {last}")


@cache
def _load_plugins() -> None:
    load_plugins("effigy.detectors", register)
