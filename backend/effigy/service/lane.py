# SPDX-License-Identifier: Apache-2.0
"""A thread beside the worker's, for one piece of long work at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from .jobs import Progress, Steps

_STEP_S = 0.005  # a step's longest wait for the thread, as the requests of others wait for the step

R = TypeVar("R")


class Lane:
    """A thread that runs one piece of long work at a time.

    Work that waits for its turn is held by its job and not by the thread, so that nothing is left of a cancelled job.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._newest: Future[Any] | None = None
        self._is_taken = False

    def in_turn(self, steps: Steps) -> Steps:
        """Yields from ``steps`` once no other steps are under way, and the work of cancelled ones has ended."""
        while self._is_taken or self._waits_for_newest():
            yield Progress(0.0, "waiting")
        self._is_taken = True
        try:
            return (yield from steps)
        finally:  # also if the client leaves
            self._is_taken = False

    def run(self, work: Callable[[], R], progress: Progress) -> Generator[Progress, None, R]:
        """Runs ``work`` on the thread, and yields ``progress`` until it is done; for steps that are ``in_turn``."""
        self._newest = future = self._pool.submit(work)
        while self._waits_for_newest():
            yield progress
        return future.result()

    def close(self) -> None:
        """Ends the thread after its present work, without waiting for that."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _waits_for_newest(self) -> bool:
        if self._newest is None or self._newest.done():
            return False
        wait([self._newest], _STEP_S)
        return True
