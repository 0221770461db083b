# SPDX-License-Identifier: Apache-2.0
"""The registry of generator architectures. A new one is registered; nothing else needs to change.

Other packages can add some: entry points of the group ``effigy.architectures``, each an ``Architecture``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..plugins import load_plugins
from .networks.network import Config, Network
from .weights import Shapes, Weight

Attributes = Iterator[tuple[str, dict[str, Any]]]


class Architecture:
    """A kind of network: how it is built, and how files that hold one are recognised and read.

    What it can do besides painting is said by its network's class: see ``Network``.
    """

    key: str
    """Its name in Effigy's own files."""

    name: str
    """Its name for people."""

    config: type[Any]
    """The dataclass that describes a network's shape; raises ValueError for one that no such network has."""

    def build(self, config: Any) -> Network:
        """Builds the network of these settings, with uninitialised weights."""
        raise NotImplementedError

    def describe(self, config: Any) -> dict[str, Any]:
        """Describes a network of these settings for users, beyond what all networks have: title → value."""
        return {}

    # What follows is for files of other programs. Effigy's own need none of it.

    marks: tuple[str, ...] = ()
    """Names of tensors, in NVIDIA's convention, each of which no other architecture has."""

    def read_config(self, settings: dict[str, Any], shapes: Shapes) -> Config:
        """Infers a network's settings from those of a file and its tensors. Raises ForeignError or MalformedError."""
        raise NotImplementedError

    def guesses(self, shapes: Shapes) -> Iterable[dict[str, Any]]:
        """Returns settings to try, the likeliest first, for a file that holds tensors alone."""
        return ({},)

    def designed(self, network: Network) -> dict[str, Tensor]:
        """Returns the buffers that the settings determine; a file with other values has other settings."""
        return {}

    def complete(self, config: Any, tensors: dict[str, Weight]) -> list[str]:
        """Adds optional tensors that a file lacks, and removes what the network does not keep; says what it assumed."""
        return []

    def attributes(self, network: Network) -> Attributes:
        """Returns the attributes that modules in NVIDIA's snapshots must have: path of a module → attributes."""
        return iter(())


_METADATA = ("format", "licence")  # which Effigy's own files hold beside an architecture's key
_REGISTERED: dict[str, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Registers an architecture. Raises ValueError if its key is taken, or cannot be written to a file."""
    if architecture.key in _METADATA or not architecture.key.isidentifier():
        raise ValueError(f"an architecture cannot be called {architecture.key[:40]!r} in files")
    other = _REGISTERED.setdefault(architecture.key, architecture)
    if type(other) is not type(architecture):
        raise ValueError(f"two architectures are called {architecture.key}: {other!r} and {architecture!r}")


def architectures() -> tuple[Architecture, ...]:
    """Returns all registered architectures, Effigy's own first."""
    _load_plugins()
    return tuple(_REGISTERED.values())


def architecture_of(config: Config) -> Architecture:
    """Returns the architecture that this configuration belongs to."""
    for architecture in architectures():
        if type(config) is architecture.config:
            return architecture
    raise ValueError(f"no registered architecture has a {type(config).__name__}")


def recognise(shapes: Shapes) -> Architecture | None:
    """Returns the architecture of a file with these tensors, or None if we have none."""
    for architecture in architectures():
        if any(mark in shapes for mark in architecture.marks):
            return architecture
    return None


def build_network(config: Config) -> Network:
    """Builds the network of this configuration with uninitialised weights."""
    return architecture_of(config).build(config)


def skeleton_of(config: Config) -> Network:
    """Builds the network of this configuration without allocating its weights."""
    with torch.device("meta"):
        return build_network(config)


@cache
def _load_plugins() -> None:
    load_plugins("effigy.architectures", register)
