# SPDX-License-Identifier: Apache-2.0
"""Long work: begun by another request, asked after, and ended."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ProtocolError
from .values import Buffer


@dataclass(frozen=True, slots=True)
class Job:
    """Long work has begun. Ask for it with JobStatus, a few times a second; CancelJob ends it.

    It is the client's own, and ends when its client leaves.
    """

    job: str


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Asks how far the long work ``job`` is: answered by Working, or by what it led to, which ends the job."""

    job: str


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Ends the long work ``job``; the number of Done says whether there was any."""

    job: str


@dataclass(frozen=True, slots=True)
class Working:
    """Long work goes on: ``share`` (0 … 1) of it is done, ``stage`` says in a word or two what is being done.

    ``preview``: what it looks like so far, a whole PNG or JPEG file, where there is something to see.
    """

    job: str
    share: float
    stage: str
    preview: Buffer | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ProtocolError("bad-field", f"no work is done to {self.share:.3g} of 1")
