# SPDX-License-Identifier: Apache-2.0
"""The open identities, and which clients hold them. Used by the worker thread only.

An identity is open while at least one client holds it. The number is limited for each client and in all: when one too
many is opened, the least recently used is closed. The next request for that one is answered with ``unknown-identity``,
and its client opens it again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from ..faces import FaceModel, Identity

MAX_HELD = 512  # by one client
MAX_OPEN = 2048  # tens of kilobytes each
MAX_BYTES = 512 << 20  # of all: people who were made of pictures take some MiB


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened identity: its anchor, and the model that it belongs to."""

    model: FaceModel
    anchor: Identity

    @property
    def tuned(self) -> FaceModel:
        """The model that edits and paints it: ``model``, or a copy with the person's own generator."""
        return self.model.tuned_for(self.anchor)

    @property
    def key(self) -> str:
        return self.anchor.key

    @property
    def size(self) -> int:
        """Its size in bytes: of the latent and, for a person, also of the arrays decoded from it and of the picture."""
        latent, person = len(self.anchor.latent), self.anchor.person
        return latent if person is None else 2 * latent + len(person.picture or b"")


class Identities:
    """Open identities by key. The cost of a call does not depend on how many are open; ``forget`` costs what it
    releases.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[Opened, set[bytes]]] = OrderedDict()  # with its holders; oldest use first
        self._held: dict[bytes, OrderedDict[str, None]] = {}  # of each client; oldest use first
        self._bytes = 0  # of all that are open

    def __len__(self) -> int:
        return len(self._open)

    def open(self, client: bytes, opened: Opened) -> None:
        """Lets the client hold ``opened``; closes the least recently used identities if there are too many."""
        if opened.key not in self._open:
            self._open[opened.key] = opened, set()
            self._bytes += opened.size
        self._open[opened.key][1].add(client)
        held = self._held.setdefault(client, OrderedDict())
        held[opened.key] = None
        self._use(client, opened.key)
        if len(held) > MAX_HELD:
            self.release(client, next(iter(held)))
        while len(self._open) > MAX_OPEN or (self._bytes > MAX_BYTES and len(self._open) > 1):
            oldest = next(iter(self._open))
            for holder in list(self._open[oldest][1]):
                self.release(holder, oldest)

    def get(self, client: bytes, key: str) -> Opened | None:
        """Returns the open identity with this key, or None. Any client may use it; ``client`` does so now."""
        if key not in self._open:
            return None
        self._use(client, key)
        return self._open[key][0]

    def release(self, client: bytes, key: str) -> bool:
        """Releases the client's hold; returns whether it had one."""
        held = self._held.get(client)
        if held is None or key not in held:
            return False
        del held[key]
        if not held:
            del self._held[client]
        opened, holders = self._open[key]
        holders.discard(client)
        if not holders:
            del self._open[key]
            self._bytes -= opened.size
        return True

    def forget(self, client: bytes) -> None:
        """Releases everything that a client held that has left."""
        for key in list(self._held.get(client, ())):
            self.release(client, key)

    def _use(self, client: bytes, key: str) -> None:
        self._open.move_to_end(key)
        if key in self._held.get(client, ()):
            self._held[client].move_to_end(key)
