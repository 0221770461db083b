# SPDX-License-Identifier: Apache-2.0
"""The state of a link."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from effigy_protocol.messages import Welcome


class Phase(Enum):
    """What a link is doing."""

    CONNECTING = "connecting"  # no service was found yet, or none has answered
    LOADING = "loading"  # the service loads its model
    READY = "ready"
    LOST = "lost"  # the service ended or fell silent; another one is looked for
    REFUSED = "refused"  # what answers cannot be used: see ``State.hint``


@dataclass(frozen=True, slots=True)
class State:
    """A link's state. It is replaced as a whole, so read it once and use that."""

    phase: Phase
    detail: str = ""  # in words
    hint: str = ""  # what the user can do
    welcome: Welcome | None = None  # the last one, which stays when the link is lost, so that controls stay too
