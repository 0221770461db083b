# SPDX-License-Identifier: Apache-2.0
"""How it stands with the connection, what is asked over it, and how a request fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from effigy_protocol.messages import Frame, Reply, Welcome

from .pixels import Pixels

AGAIN = "stop, then start the backend again"


class Phase(Enum):
    CONNECTING = "connecting"
    LOADING = "loading"
    READY = "ready"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Link:
    """The connection's state, whole: read it once, then use it."""

    phase: Phase
    detail: str = ""
    hint: str = ""
    welcome: Welcome | None = None


class RequestError(Exception):
    """A request that failed: refused by the service, or never answered. ``hint`` says what to do."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.code = code
        self.message = message
        self.hint = hint


class GoneError(Exception):
    """There will be no service: the one that was to be found has ended. Says why."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A finished preview. ``tag`` is what it was asked with; exactly one of ``frame`` and ``error`` is set."""

    stream: int
    tag: Any
    asked: float  # time.monotonic()
    finished: float
    frame: Frame | None = None
    pixels: Pixels | None = None
    error: RequestError | None = None


@dataclass(slots=True)
class Pending:
    """A request on its way: who hears of the answer, and by when it must have come."""

    answer: type[Reply]  # what it must be, unless it is an Error
    deliver: Callable[[Any], None]
    fail: Callable[[RequestError], None]
    timeout: float  # seconds from being sent
    deadline: float = 0.0
