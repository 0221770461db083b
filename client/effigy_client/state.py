# SPDX-License-Identifier: Apache-2.0
"""How it stands with a link."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from effigy_protocol.messages import Welcome


class Phase(Enum):
    CONNECTING = "connecting"
    LOADING = "loading"
    READY = "ready"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class State:
    """The connection's state, whole: read it once, then use it."""

    phase: Phase
    detail: str = ""
    hint: str = ""
    welcome: Welcome | None = None  # the last one: an interface need not forget the controls when the link is lost
