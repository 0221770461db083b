# SPDX-License-Identifier: Apache-2.0
"""Work that goes on in a thread, and how far it is: an installation, or a removal."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["running", "done", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is. It is replaced as a whole, so read it once and use that."""

    step: str
    share: float  # of all steps, 0 … 1
    line: str = ""  # the last line of output
    outcome: Outcome = "running"
    error: str = ""  # why it failed


class Work:
    """Work in a thread of its own, which goes on until ``progress`` has another outcome than "running"."""

    def __init__(self, name: str, progress: Progress) -> None:
        self.progress = progress
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, seconds: float | None = None) -> Progress:
        """Waits until it has ended, at most ``seconds``."""
        self._thread.join(seconds)
        return self.progress

    def _run(self) -> None:
        """Does the work, and puts its outcome into ``progress``."""
        raise NotImplementedError
