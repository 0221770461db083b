# SPDX-License-Identifier: Apache-2.0
"""The followed faces of one program, and what they share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from .face import Identities
from .follower import Follower, Stage
from .memory import PictureMemory


class Followers:
    """The faces of one program, by the name that its host gives them."""

    def __init__(self, memory: PictureMemory) -> None:
        self.memory = memory
        self._stage = Stage(memory)
        self._followers: dict[Hashable, Follower] = {}
        self._streams = 0

    def __iter__(self) -> Iterator[Follower]:
        return iter(self._followers.values())

    def of(self, name: Hashable) -> Follower:
        """A face's follower, made on first use."""
        if name not in self._followers:
            self._streams += 1
            self._followers[name] = Follower(self._streams, self._stage)
        return self._followers[name]

    def by_stream(self, names: Iterable[Hashable]) -> dict[int, Hashable]:
        return {self.of(name).stream: name for name in names}

    def names(self) -> list[Hashable]:
        return list(self._followers)

    def drop(self, name: Hashable) -> None:
        """The face is gone, or another will have its name."""
        self._followers.pop(name, None)

    def new_epoch(self) -> None:
        """What was asked for until now is not to be shown any more, though it is remembered."""
        self._stage.epoch += 1

    def begin_anew(self) -> None:
        """After an undo: nothing is known of what the screens show."""
        self.new_epoch()
        for follower in self:
            follower.begin_anew()

    def lose(self) -> None:
        """The link has ended."""
        for follower in self:
            follower.lose()

    def clear(self) -> None:
        """Other faces, in another file."""
        self._followers.clear()
        self.new_epoch()

    def release_unused(self, identities: Identities) -> None:
        """Has the service forget the identities that no face has any more: of faces that changed, or are gone."""
        if not any(follower.face.is_opening for follower in self):
            identities.release_all_but({follower.face.key for follower in self})
