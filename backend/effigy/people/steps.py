# SPDX-License-Identifier: Apache-2.0
"""Long work as a generator of steps, which may be closed at any of them and returns what it leads to."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


def finish(steps: Generator[S, None, R], report: Callable[[S], object] = lambda step: None) -> R:
    """Takes ``steps`` to their end, calling ``report`` after each; returns what they lead to."""
    try:
        while True:
            report(next(steps))
    except StopIteration as end:
        result: R = end.value
        return result


def told_as(steps: Generator[S, None, R], tell: Callable[[S], T]) -> Generator[T, None, R]:
    """Passes on each of the ``steps`` as what ``tell`` makes of it; returns what they lead to."""
    try:
        while True:
            yield tell(next(steps))
    except StopIteration as end:
        result: R = end.value
        return result
