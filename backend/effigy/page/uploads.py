# SPDX-License-Identifier: Apache-2.0
"""Bounds the uploads to the page: Gradio keeps every upload until the page ends, however many there are."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from .loopback import App, Message, Receive, Send

LARGEST = 40 << 20  # bytes of one
MOST = 400 << 20  # of all
_AT_ONCE = 4


class Uploads:
    """Wraps an ASGI application: before an upload, the oldest files in ``folder`` go until it fits under ``most``.

    An upload is read at once, so nobody needs an old file. A few uploads run at a time: all together take no more than
    ``most`` and these.
    """

    def __init__(self, app: App, folder: Path, most: int = MOST) -> None:
        self.app = app
        self.folder = folder
        self.most = most
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/upload"):
            await self.app(scope, receive, send)
            return
        async with self._gate:
            make_room(self.folder, self.most - LARGEST)
            await self.app(scope, receive, send)


def make_room(folder: Path, most: int) -> None:
    """Removes the oldest files in ``folder`` and below until the rest have at most so many bytes."""
    found = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found, key=lambda each: each[0]):
        if total <= most:
            return
        with suppress(OSError):
            path.unlink()
            total -= size
