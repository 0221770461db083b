# SPDX-License-Identifier: Apache-2.0
"""Remembers the few things that were used last, by key."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps at most ``most`` values and drops the least recently used. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Future[T]] = OrderedDict()  # oldest use first

    def get(self, key: str, make: Callable[[], T]) -> T:
        """Returns the value of ``key``, and makes it if it is not kept. Only callers with that key wait meanwhile."""
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
        except BaseException as error:  # noqa: BLE001 those who wait for it get it too; the next caller tries again
            with self._lock:
                if self._kept.get(key) is future:
                    del self._kept[key]
            future.set_exception(error)
