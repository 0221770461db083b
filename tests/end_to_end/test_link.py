# SPDX-License-Identifier: Apache-2.0
"""The client's link to real services."""

from __future__ import annotations

import signal
import threading
import time

import pytest
import zmq

from effigy_client.errors import RequestError
from effigy_client.face import Identities
from effigy_client.link import Link
from effigy_client.outbox import Painted
from effigy_client.state import Phase
from effigy_protocol.connection import read_connection
from effigy_protocol.messages import (
    FromSeed,
    OpenIdentity,
    Status,
    Synthesize,
)

from ..client.impostors import Found, at, listening, wait_for
from .conftest import set_keys


@pytest.fixture()
def link():
    """Links to a service that ``find`` finds; all are closed after the test."""
    links = []

    def run(find, silence=lambda: None):
        links.append(Link(Found(find, silence), "test"))
        return links[-1]

    yield run
    for one in links:
        one.close()


def finder(service):
    return lambda: read_connection(service.connection_file)


def test_it_finds_a_service_asks_and_gets_previews(shared_service, link):
    client = link(finder(shared_service))
    welcome = client.wait_ready(300)
    before = client.call(Status(), 300).painted
    assert client.state.phase is Phase.READY
    identity = client.call(OpenIdentity(FromSeed(1)), 300).identity
    for yaw in range(20):
        client.preview(Synthesize(identity, float(yaw), 0.0, {}), tag=yaw)
    got = []
    wait_for(lambda: got.extend(client.previews()) or not client.is_busy)
    got.extend(client.previews())
    assert got[-1].tag == 19
    assert len(got) < 10, "previews that nobody waits for were painted"
    assert got[-1].outcome.pixels.size == 4 * welcome.resolution[0] * welcome.resolution[1]
    assert client.call(Status(), 300).painted - before == len([p for p in got if isinstance(p.outcome, Painted)])


def test_a_refused_request_raises_with_code_and_hint(shared_service, link):
    client = link(finder(shared_service))
    client.wait_ready(300)
    with pytest.raises(RequestError, match="not open here") as caught:
        client.call(Synthesize("nobody", 0.0, 0.0, {}, "final"), 300)
    assert caught.value.code == "unknown-identity"
    assert caught.value.hint


def test_a_killed_service_is_noticed_at_once_and_another_is_found(start, shared_service, link):
    service = start()
    service.connection()
    lives = [service]
    client = link(lambda: read_connection(lives[-1].connection_file))
    client.wait_ready(300)
    identity = client.call(OpenIdentity(FromSeed(1)), 300).identity
    waiting = [client.ask(Synthesize(identity, float(yaw), 0.0, {}, "final"), 300) for yaw in range(30)]
    service.process.send_signal(signal.SIGKILL)
    with pytest.raises(RequestError, match="closed the connection"):
        waiting[-1].result(300)
    assert client.state.phase is Phase.LOST
    assert client.state.welcome is not None, "the controls are forgotten"
    lives.append(shared_service)
    wait_for(lambda: client.state.phase is Phase.READY)


def test_a_slow_line_connects_all_the_same(link, shared_service):
    # Every answer takes longer than the pause between two Hellos.
    context = zmq.Context()
    context.linger = 0
    front, back = listening(context), context.socket(zmq.DEALER)
    port = front.bind_to_random_port("tcp://127.0.0.1")
    set_keys(back, shared_service.connection())
    back.connect(shared_service.connection().endpoint)
    stop = threading.Event()

    def relay():
        waiting = []
        while not stop.is_set():
            if front.poll(10):
                _, *frames = sender = front.recv_multipart()
                waiting.append((time.monotonic() + 0.6, sender[0], frames))
            while waiting and waiting[0][0] < time.monotonic():
                _, name, frames = waiting.pop(0)
                back.send_multipart(frames)
                front.send_multipart([name, *back.recv_multipart()])
        front.close()
        back.close()
        context.term()

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        link(at(port)).wait_ready(300)
    finally:
        stop.set()
        thread.join()


def test_a_backend_that_stands_still_is_told_and_ended(start, link, monkeypatch):
    import effigy_client.exchange as module

    service = start()
    service.connection()
    monkeypatch.setattr(module, "_SILENCE_S", 5.0)
    killed = []

    def kill():
        killed.append(service.process.pid)
        service.process.kill()

    client = link(finder(service), kill)
    client.wait_ready(300)
    identity = client.call(OpenIdentity(FromSeed(1)), 300).identity
    service.process.send_signal(signal.SIGSTOP)
    with pytest.raises(RequestError, match="silent"):
        client.call(Synthesize(identity, 5.0, 0.0, {}, "final"), 300)
    wait_for(lambda: service.process.poll() is not None)
    assert killed == [service.process.pid]


def test_identities_that_nobody_uses_are_released(shared_service, link):
    client = link(finder(shared_service))
    client.wait_ready(300)
    identities = Identities(client)
    kept, other = (identities.open(OpenIdentity(FromSeed(seed))).result(300).identity for seed in (1, 2))
    identities.open(OpenIdentity(FromSeed(1))).result(300)  # a second face of the same person
    opening = identities.open(OpenIdentity(FromSeed(3)))
    if not opening.done():
        identities.release_all_but({kept})
    third = opening.result(300).identity
    identities.release_all_but({kept, third})
    with pytest.raises(RequestError, match="not open here"):
        client.call(Synthesize(other, 0.0, 0.0, {}, "final"), 300)
    for open_still in (kept, third):
        assert client.call(Synthesize(open_still, 0.0, 0.0, {}, "final"), 300).identity == open_still
