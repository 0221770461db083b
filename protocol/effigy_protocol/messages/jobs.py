# SPDX-License-Identifier: Apache-2.0
"""Long work, which another request has begun: asks for its progress, and ends it."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ProtocolError
from .values import Buffer


@dataclass(frozen=True, slots=True)
class Job:
    """Answers a request that has begun long work. Ask for it with JobStatus, a few times a second; CancelJob ends it.

    It belongs to the client, and ends when that leaves.
    """

    job: str  # its id


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Asks for a job's progress. Answered by Working, or by its result, which ends the job."""

    job: str


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Ends a job. Answered by Done, with a count of 0 if there is no such job."""

    job: str


@dataclass(frozen=True, slots=True)
class Working:
    """The progress of a job."""

    job: str
    share: float  # that is done, 0 … 1
    stage: str  # what is being done, in a word or two
    preview: Buffer | None = None  # the result so far as a PNG or JPEG file, if it can be seen

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ProtocolError("bad-field", f"no work is done to {self.share:.3g} of 1")
