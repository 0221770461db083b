# SPDX-License-Identifier: Apache-2.0
"""The few things that were used last, by key."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps ``most`` of them; one more lets go of the one that was used longest ago. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.RLock()
        self._kept: OrderedDict[str, T] = OrderedDict()  # oldest use first

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The one called ``key``, made where it is not kept."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
                if len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
