# SPDX-License-Identifier: Apache-2.0
"""Greeting, heartbeat and state of the service, and the general answers Done and Error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ErrorCode
from .pictures import MatteName, PassName
from .values import Array, Parameter

ServicePhase = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a client. Answered by Welcome, or by Error ``loading`` while the model loads."""

    client: str  # its name, for the service's log


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A face model by its id and its name for people."""

    model: str  # its id
    name: str  # for users


@dataclass(frozen=True, slots=True)
class Welcome:
    """Describes the served face model, so that a client can build its interface. L landmarks, C controls."""

    server: str  # name and version
    device: str  # of PyTorch
    model: str  # id
    model_name: str  # for users
    resolution: tuple[int, int]  # height, width
    topology: str  # the landmark set
    mean: Array  # [3, L] in the face frame: x right, y up, z towards the viewer
    triangles: Array  # [T, 3], a surface over the landmarks, counter-clockwise seen from outside
    mirror: Array  # [L], the landmark on the other side
    pose: tuple[Parameter, ...]  # of the head's turn
    controls: tuple[Parameter, ...]  # of the expression
    directions: Array  # [C, 3, L], what one unit of each control adds to ``mean``
    alpha: bool = False  # whether the generator paints alpha, which is then the matte
    passes: tuple[PassName, ...] = ()  # that Synthesize may name
    mattes: tuple[MatteName, ...] = ("none",)  # that Synthesize may name
    others: tuple[KnownModel, ...] = ()  # further models whose latents can be opened
    reads_pictures: bool = False  # whether the model can answer ReadPicture
    makes_people: bool = False  # whether the model can open FromPhoto


@dataclass(frozen=True, slots=True)
class Status:
    """Asks for the service's state; answered even while the model loads or paints."""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The service's state."""

    phase: ServicePhase
    detail: str  # the model's name, or why it could not be loaded
    device: str
    uptime_s: float
    clients: int
    identities: int  # that are open
    queued: int  # requests that wait
    painted: int  # pictures so far


@dataclass(frozen=True, slots=True)
class Ping:
    """Heartbeat; answered by Pong."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers Ping."""


@dataclass(frozen=True, slots=True)
class Done:
    """A Cancel, Release or CancelJob was carried out."""

    count: int  # of how many requests, identities or jobs


@dataclass(frozen=True, slots=True)
class Error:
    """A request was not carried out."""

    code: ErrorCode
    message: str  # why
    hint: str  # what the user can do
