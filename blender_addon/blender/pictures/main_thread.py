# SPDX-License-Identifier: GPL-3.0-or-later
"""What only Blender's main thread may do, although a render's thread asks for it.

A render's thread runs handlers with Python's lock. If it then waits for the window, which draws and waits for that
lock in a panel, Blender stands still for good. So it hands such work over, and waits for it without the lock.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Work = Callable[[], None]


class MainThread:
    """Runs work on Blender's main thread, whichever thread asks."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Work] = queue.SimpleQueue()

    def run(self, work: Work) -> None:
        """Runs ``work`` at once on the main thread; from any other it is left for the timer."""
        if threading.current_thread() is threading.main_thread():
            work()
        else:
            self._waiting.put(work)

    def run_and_wait(self, work: Work, seconds: float) -> bool:
        """Runs ``work`` and waits for it; returns whether it was done within ``seconds``."""
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        self.run(run)
        return done.wait(seconds)

    def catch_up(self) -> None:
        """Runs what waits. For the timer, which runs on the main thread."""
        while not self._waiting.empty():
            self._waiting.get_nowait()()


main_thread = MainThread()
