# SPDX-License-Identifier: Apache-2.0
"""What can be done for the next jobs while a picture is painted.

To find a latent takes one thread and no longer than to write a file; painting, which waits for memory at every layer,
leaves about as much of the processors idle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from .scheduler import Job

T = TypeVar("T")


class Ahead(Generic[T]):
    """Solves jobs in a thread of its own. ``solve`` must not raise, nor depend on what waits before the job."""

    def __init__(self, solve: Callable[[Job], T]) -> None:
        self._solve = solve
        self._pool = ThreadPoolExecutor(1, "effigy-ahead")
        self._begun: list[tuple[Job, Future[T]]] = []

    def begin(self, jobs: Sequence[Job]) -> None:
        """Starts on ``jobs``, the next ones; what was begun and is not among them was cancelled, and is dropped."""
        kept = [(job, future) for job, future in self._begun if any(job is other for other in jobs)]
        fresh = [job for job in jobs if not any(job is other for other, _ in kept)]
        self._begun = kept + [(job, self._pool.submit(self._solve, job)) for job in fresh]

    def result(self, job: Job) -> T:
        """What ``solve`` makes of ``job``: waits for it if it was begun, and otherwise does it here and now."""
        for begun, future in self._begun:
            if begun is job:
                return future.result()
        return self._solve(job)

    def close(self) -> None:
        """Waits for what is being solved, and drops the rest."""
        self._pool.shutdown(cancel_futures=True)
