# SPDX-License-Identifier: Apache-2.0
"""Services without a process: one that says what a test has it say, and the product's own in this process."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from effigy.service.answers import answer
from effigy.service.in_process import InProcessService
from effigy_client.errors import RequestError
from effigy_client.link import Link
from effigy_client.pixels import Buffers
from effigy_client.transport import InProcess
from effigy_protocol import decode_request
from effigy_protocol.connection import Connection
from effigy_protocol.messages import (
    Array,
    Done,
    Frame,
    Hello,
    Identity,
    OpenIdentity,
    Ping,
    Pong,
    Pose,
    Release,
    Reply,
    Request,
    Synthesize,
    Timings,
    Welcome,
)

HERE = Connection("in-process", 0, "", "")
SIZE = 4
STRAIGHT = Pose(0.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def welcome() -> Welcome:
    """Describes a model with no landmarks and no controls."""
    none, indices = Array("f4", (3, 0), b""), Array("i4", (0,), b"")
    triangles, directions = Array("i4", (0, 3), b""), Array("f4", (0, 3, 0), b"")
    return Welcome("effigy", "cpu", "m", "name", (SIZE, SIZE), "t", none, triangles, indices, (), (), directions)


def frame(
    request: Synthesize,
    *,
    exact: bool = True,
    milliseconds: float = 1.0,
    clamped: tuple[str, ...] = (),
    residual: dict[str, float] | None = None,
) -> Frame:
    """Paints the picture that ``request`` asks for: every byte is its yaw, so that pictures can be told apart; its
    passes are 0.
    """
    timings, size = Timings(0.0, 0.0, milliseconds, 0.0), SIZE // 2 if request.half else SIZE
    data = bytes([int(request.yaw) % 256]) * (4 * size * size)
    passes = {name: Array("f2", (size, size, 3), bytes(6 * size * size)) for name in request.passes}
    return Frame(
        request.identity, request.purpose, size, size, request.encoding, data, exact, STRAIGHT, clamped, residual or {},
        timings, request.half, passes,
    )  # fmt: skip


class Source:
    """Finds the service of this process at once."""

    def __init__(self) -> None:
        self.is_silent = False

    def find(self) -> Connection:
        return HERE

    def fell_silent(self) -> None:
        self.is_silent = True


@contextmanager
def linked(reply: Callable[[Request], Reply]) -> Iterator[tuple[Link, InProcess]]:
    """Links to a service that answers every request by ``reply``, with its own greeting."""

    def respond(frames: Any) -> list[Any]:
        envelope = decode_request(list(frames))
        said: Reply
        match envelope.message:
            case Hello():
                said = welcome()
            case Ping():
                said = Pong()
            case request:
                said = reply(request)
        return [answer(envelope.id, said)]

    transport = InProcess(respond)
    link = Link(Source(), "test", lambda _: transport)
    try:
        link.wait_ready(300)
        yield link, transport
    finally:
        link.close()


@contextmanager
def in_process(model: Any) -> Iterator[Link]:
    """Links to the product's own service of ``model``, in this process."""
    service = InProcessService(model)
    link = Link(Source(), "test", lambda _: InProcess(service))
    try:
        link.wait_ready(300)
        yield link
    finally:
        link.close()
        service.close()


@dataclass
class FakeLink:
    """A link whose answers a test gives, one by one; nothing happens between."""

    asked: list[tuple[Request, Future[Any]]] = field(default_factory=list)
    previewed: list[tuple[Synthesize, Any]] = field(default_factory=list)
    connections: int = 1
    is_ready: bool = True
    was_ready: bool = True
    buffers: Buffers = field(default_factory=Buffers)
    keys: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def ask(self, request: Request, timeout: float) -> Future[Any]:
        future: Future[Any] = Future()
        self.asked.append((request, future))
        return future

    def wait(self, future: Future[Any], timeout: float) -> Any:
        """Answers what waits, since nobody else will while the caller waits."""
        while not future.done():
            self.answer()
        return future.result()

    def call(self, request: Request, timeout: float) -> Any:
        return self.wait(self.ask(request, timeout), timeout)

    def preview(self, request: Synthesize, tag: Any = None) -> None:
        self.previewed.append((request, tag))

    def of(self, kind: type[Request]) -> list[Request]:
        """Returns what waits of one kind."""
        return [request for request, _ in self.asked if isinstance(request, kind)]

    def answer(self, **changes: Any) -> Request:
        """Answers the oldest request that waits, as a service would."""
        request, future = self.asked.pop(0)
        match request:
            case OpenIdentity():
                none = Array("f4", (3, 0), b"")
                future.set_result(Identity(f"key{next(self.keys)}", "m", b"", STRAIGHT, none))
            case Synthesize():
                future.set_result(frame(request, **changes))
            case Release():
                future.set_result(Done(1))
            case _:
                future.set_result(Done(0))
        return request

    def refuse(self, code: str, message: str = "no") -> Request:
        """Fails the oldest request that waits."""
        request, future = self.asked.pop(0)
        future.set_exception(RequestError(code, message, ""))
        return request


def wait_until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)
