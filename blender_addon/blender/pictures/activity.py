# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks bakes, caches and renders under way, and whether the scene has changed since the last preview."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """Work that the preview must not disturb, because its frames must not be changed."""

    def __init__(self) -> None:
        self.is_rendering = False
        self.is_painting_range = False  # a bake or a cache goes through frames

    @property
    def is_at_work(self) -> bool:
        return self.is_rendering or self.is_painting_range

    def begin_render(self) -> None:
        self.is_rendering = True

    def end_render(self) -> None:
        self.is_rendering = False
        changes.mark()

    def begin_range(self) -> None:
        self.is_painting_range = True

    def end_range(self) -> None:
        self.is_painting_range = False
        changes.mark()

    @contextmanager
    def range(self) -> Iterator[None]:
        """Encloses work in ``begin_range`` and ``end_range``, whatever happens in it."""
        self.begin_range()
        try:
            yield
        finally:
            self.end_range()

    def end_all(self) -> None:
        """Ends all, because another file was loaded."""
        self.is_rendering = self.is_painting_range = False


class Changes:
    """Notes whether the scene may have changed since live faces, and since baked faces, were last looked at."""

    def __init__(self) -> None:
        self.are_live = True
        self.are_baked = True

    def mark(self, *, baked: bool = False) -> None:
        """Marks live faces to be read again, and with ``baked`` also those that show files."""
        self.are_live = True
        self.are_baked = self.are_baked or baked

    def take_live(self) -> bool:
        """Returns whether live faces are to be read again, and resets that."""
        marked, self.are_live = self.are_live, False
        return marked

    def take_baked(self) -> bool:
        """Returns whether baked faces are to be looked at again, and resets that."""
        marked, self.are_baked = self.are_baked, False
        return marked


activity = Activity()
changes = Changes()
