# SPDX-License-Identifier: Apache-2.0
"""Greeting, heartbeat and state of the service, and the two answers that any request may get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ErrorCode
from .pictures import MatteName, PassName
from .values import Array, Parameter

Phase = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a client, which it names; answered by Welcome, or by Error ``loading`` while the model loads."""

    client: str


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A face model: its id, and its name for people."""

    model: str
    name: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a client needs to build its interface. ``resolution`` is (height, width).

    ``mean`` is [3, L] in the face frame (x right, y up, z towards the viewer), ``directions`` [C, 3, L]
    what one unit of each control adds to it, ``triangles`` [T, 3] a surface over the L landmarks,
    counter-clockwise seen from outside, ``mirror`` [L] the landmark on the other side. ``pose`` are the parameters
    of the head's turn, ``controls`` those of the expression. ``alpha``: the model paints an alpha of its own, which its
    matte then is. ``passes`` can be had beside a picture, ``mattes`` be asked for. ``others`` are models whose latents
    the service opens besides. ``reads_pictures``: whether the model can answer ReadPicture,
    ``makes_people``: FromPhoto.
    """

    server: str
    device: str
    model: str
    model_name: str
    resolution: tuple[int, int]
    topology: str
    mean: Array
    triangles: Array
    mirror: Array
    pose: tuple[Parameter, ...]
    controls: tuple[Parameter, ...]
    directions: Array
    alpha: bool = False
    passes: tuple[PassName, ...] = ()
    mattes: tuple[MatteName, ...] = ("none",)
    others: tuple[KnownModel, ...] = ()
    reads_pictures: bool = False
    makes_people: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """Asks how the service is; answered even while the model loads or paints."""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The service's state; ``queued`` counts requests that wait, ``painted`` pictures made so far."""

    phase: Phase
    detail: str
    device: str
    uptime_s: float
    clients: int
    identities: int
    queued: int
    painted: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Heartbeat."""


@dataclass(frozen=True, slots=True)
class Pong:
    """The service lives."""


@dataclass(frozen=True, slots=True)
class Done:
    """A Cancel or Release was carried out; ``count`` says on how many."""

    count: int


@dataclass(frozen=True, slots=True)
class Error:
    """A request that was not carried out, why, and what its user can do about it."""

    code: ErrorCode
    message: str
    hint: str
