# SPDX-License-Identifier: Apache-2.0
"""What a browser sees while the page is loaded: the first picture, as soon as there is one."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from .loopback import App, Message, Receive, Send

_PAGE = Path(__file__).parent / "static" / "opening.html"
_STATE = "/opening"  # what that page asks for until it can be left
_PATIENCE_S = 60.0  # of a thread with the server's


class Opening:
    """An ASGI application that answers from the start, until another thread hands it the page."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._page: App | None = None
        self._runs = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._handed: asyncio.Future[tuple[App, AbstractAsyncContextManager[Any], Future[None]]]

    def show(self, src: str, words: str) -> None:
        """Shows the picture ``src``, which ``words`` describe, while the rest is loaded."""
        self._shown = {"src": src, "words": words}

    def hand_over(self, page: App, life: AbstractAsyncContextManager[Any]) -> None:
        """Makes ``page`` answer from now on, inside ``life``, which ends with the server.

        It is called from another thread than the server's. Raises what ``life`` raises as it begins, and TimeoutError
        where the server does not run.
        """
        begun: Future[None] = Future()
        if not self._runs.wait(_PATIENCE_S):
            raise TimeoutError("the page's server does not start")
        self._loop.call_soon_threadsafe(self._handed.set_result, (page, life, begun))
        begun.result(_PATIENCE_S)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"] == _STATE:
            state = {**self._shown, "ready": self._page is not None}
            await _answer(send, b"application/json", json.dumps(state).encode())
        elif self._page is not None:
            await self._page(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(send, b"text/html; charset=utf-8", _PAGE.read_bytes())
        else:  # the socket of a browser that shows the page of an earlier run
            await send({"type": "websocket.close", "code": 1013})

    async def _live(self, receive: Receive, send: Send) -> None:
        """The server's life, within which the page's begins later."""
        await receive()
        self._loop, self._handed = asyncio.get_running_loop(), asyncio.Future()
        self._runs.set()
        await send({"type": "lifespan.startup.complete"})
        end = asyncio.ensure_future(receive())
        await asyncio.wait((end, self._handed), return_when=asyncio.FIRST_COMPLETED)
        if self._handed.done():
            await self._live_with_page(*self._handed.result(), end)
        await end
        await send({"type": "lifespan.shutdown.complete"})

    async def _live_with_page(
        self, page: App, life: AbstractAsyncContextManager[Any], begun: Future[None], end: asyncio.Future[Message]
    ) -> None:
        try:
            async with life:
                self._page = page
                begun.set_result(None)
                await end
        except Exception as error:
            if begun.done():
                raise
            begun.set_exception(error)


async def _answer(send: Send, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
