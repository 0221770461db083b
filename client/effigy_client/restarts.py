# SPDX-License-Identifier: Apache-2.0
"""Starts a backend again that has died. Renders, bakes and caches all go by this one rule."""

from __future__ import annotations

from typing import Protocol

from .errors import RequestError
from .face import Identities
from .provision import Provision

_MOST = 3  # after which a backend that dies counts as broken


class Supply(Protocol):
    """The backend that pictures are asked of; it may end and be replaced meanwhile."""

    @property
    def identities(self) -> Identities | None: ...

    @property
    def provision(self) -> Provision | None: ...

    def restart(self) -> None:
        """Restarts a backend that has died. Raises RequestError."""


class Restarts:
    """Counts how often the backend was started again during one render or one frame range.

    The first one must have been ready: a backend that dies while it starts would do so again.
    """

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._count = 0

    def recover(self, error: RequestError) -> bool:
        """Starts the backend again if ``error`` comes from its death; returns at once, with whether it did.

        False means that it lives, or is not ours to start: waiting may help. Raises ``error`` where neither helps,
        and a RequestError of its own where the backend has died too often or cannot be started.
        """
        if not error.is_transient:
            raise error
        provision, identities = self._supply.provision, self._supply.identities
        if provision is None or not provision.has_died:
            return False
        if not self._count and (identities is None or not identities.link.was_ready):
            raise error
        if self._count == _MOST:
            raise RequestError("no-backend", f"the backend died {_MOST} times: {provision.why_it_ended}", "")
        self._count += 1
        self._supply.restart()
        return True
