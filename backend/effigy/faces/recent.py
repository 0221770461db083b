# SPDX-License-Identifier: Apache-2.0
"""The few things that were used last, by key."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps ``most`` of them; one more lets go of the one that was used longest ago. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Future[T]] = OrderedDict()  # oldest use first

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The one called ``key``, made where it is not kept. Only who asks for that one waits while it is made."""
        with self._lock:
            known = self._kept.get(key)
            found = self._kept.setdefault(key, Future())
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        if known is None:
            self._make(key, found, make)
        return found.result()

    def _make(self, key: str, future: Future[T], make: Callable[[], T]) -> None:
        try:
            future.set_result(make())
        except BaseException as error:  # noqa: BLE001 who waits for it hears of it too; the next one tries again
            with self._lock:
                if self._kept.get(key) is future:
                    del self._kept[key]
            future.set_exception(error)
