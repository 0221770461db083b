# SPDX-License-Identifier: Apache-2.0
"""The followed faces of one program, and what they share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from .face import Identities
from .follower import Follower, Shared
from .memory import PictureMemory


class Followers:
    """The faces of one program, by the name that its host gives them."""

    def __init__(self, memory: PictureMemory) -> None:
        self.memory = memory
        self._shared = Shared(memory)
        self._followers: dict[Hashable, Follower] = {}
        self._streams = 0

    def __iter__(self) -> Iterator[Follower]:
        return iter(self._followers.values())

    def of(self, name: Hashable) -> Follower:
        """Returns a face's follower, which is made on first use."""
        if name not in self._followers:
            self._streams += 1
            self._followers[name] = Follower(self._streams, self._shared)
        return self._followers[name]

    def by_stream(self, names: Iterable[Hashable]) -> dict[int, Hashable]:
        """Returns the names by their followers' streams."""
        return {self.of(name).stream: name for name in names}

    def names(self) -> list[Hashable]:
        return list(self._followers)

    def drop(self, name: Hashable) -> None:
        """Forgets a face that is gone, or whose name another will have."""
        self._followers.pop(name, None)

    def new_epoch(self) -> None:
        """Prevents pictures that were asked for until now from being shown; they are still remembered."""
        self._shared.epoch += 1

    def begin_anew(self) -> None:
        """Forgets what the screens show, because an undo may have changed it."""
        self.new_epoch()
        for follower in self:
            follower.begin_anew()

    def lose(self) -> None:
        """Forgets what the service held, because the link has ended."""
        for follower in self:
            follower.lose()

    def clear(self) -> None:
        """Forgets all faces, because another file was opened."""
        self._followers.clear()
        self.new_epoch()

    def release_unused(self, identities: Identities) -> None:
        """Makes the service release the identities that no face uses any more."""
        if not any(follower.face.is_opening for follower in self):
            identities.release_all_but({follower.face.key for follower in self})
