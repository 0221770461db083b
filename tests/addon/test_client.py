# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's client against real services."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import zmq

from blender_addon.core.client import Client, GoneError, Phase, RequestError
from blender_addon.protocol import encode
from blender_addon.protocol.connection import ConnectionFileError, read_connection
from blender_addon.protocol.messages import OpenIdentity, Ping, Status, Synthesize

from ..end_to_end.conftest import Service


@pytest.fixture()
def service(effigy_command, tmp_path):
    service = Service(effigy_command, tmp_path, "--parent-pid", str(os.getpid()))
    yield service
    service.process.kill()
    service.process.wait()


@pytest.fixture()
def connect():
    clients = []

    def run(find):
        clients.append(Client(find, "test"))
        return clients[-1]

    yield run
    for client in clients:
        client.close()


def finder(service):
    return lambda: read_connection(service.connection_file).endpoint


def wait_for(condition, timeout=120.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


def test_it_finds_a_service_asks_and_gets_previews(service, connect):
    client = connect(finder(service))
    welcome = client.wait_ready(60)
    assert client.link.phase is Phase.READY
    identity = client.call(OpenIdentity(seed=1), 20).identity
    for yaw in range(20):
        client.preview(Synthesize(identity, float(yaw), 0.0, {}), tag=yaw)
    got = []
    wait_for(lambda: got.extend(client.previews()) or not client.is_busy)
    got.extend(client.previews())
    assert got[-1].tag == 19
    assert len(got) < 10, "previews that nobody waits for were painted"
    assert got[-1].pixels.size == 4 * welcome.resolution[0] * welcome.resolution[1]
    assert client.call(Status(), 5).painted == len([p for p in got if p.frame])


def test_a_refused_request_raises_with_code_and_hint(service, connect):
    client = connect(finder(service))
    client.wait_ready(60)
    with pytest.raises(RequestError, match="not open here") as caught:
        client.call(Synthesize("nobody", 0.0, 0.0, {}, "final"), 10)
    assert caught.value.code == "unknown-identity"
    assert caught.value.hint


def test_a_killed_service_is_noticed_at_once_and_a_new_one_is_found(service, connect, effigy_command, tmp_path):
    lives = [service]
    client = connect(lambda: read_connection(lives[-1].connection_file).endpoint)
    client.wait_ready(60)
    identity = client.call(OpenIdentity(seed=1), 20).identity
    waiting = [client.ask(Synthesize(identity, float(yaw), 0.0, {}, "final"), 30) for yaw in range(30)]
    service.process.send_signal(signal.SIGKILL)
    started = time.monotonic()
    with pytest.raises(RequestError, match="lost"):
        waiting[-1].result(10)
    assert time.monotonic() - started < 3
    assert client.link.phase is Phase.LOST
    assert client.link.welcome is not None, "the controls are forgotten"
    (tmp_path / "second").mkdir()
    lives.append(Service(effigy_command, tmp_path / "second", "--parent-pid", str(os.getpid())))
    wait_for(lambda: client.link.phase is Phase.READY, 60)
    lives[-1].stop()


def test_requests_without_a_service_fail_and_do_not_hang(connect):
    def find():
        raise ConnectionFileError("there is no connection file x: start the backend first")

    client = connect(find)
    with pytest.raises(RequestError, match="no connection file"):
        client.call(Ping(), 5)
    with pytest.raises(RequestError, match="no backend within"):
        client.wait_ready(0.3)


def test_a_service_that_will_never_come_is_told_at_once(connect):
    def find():
        raise GoneError("the backend ended with code 3: the model is missing")

    client = connect(find)
    started = time.monotonic()
    with pytest.raises(RequestError, match="the model is missing"):
        client.wait_ready(30)
    assert time.monotonic() - started < 5


def test_a_service_that_never_answers_times_out(connect):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as silent:
        port = silent.bind_to_random_port("tcp://127.0.0.1")
        client = connect(lambda: f"tcp://127.0.0.1:{port}")
        with pytest.raises(RequestError, match="no backend within"):
            client.wait_ready(0.5)
        with pytest.raises(RequestError, match="no answer"):
            client.call(Ping(), 0.2)
        client.close()


def test_a_service_of_another_version_is_refused_with_what_to_do(connect, monkeypatch):
    from blender_addon.protocol import codec
    from blender_addon.protocol.messages import Pong

    with zmq.Context() as context, context.socket(zmq.ROUTER) as foreign:
        port = foreign.bind_to_random_port("tcp://127.0.0.1")
        client = connect(lambda: f"tcp://127.0.0.1:{port}")
        sender = foreign.recv_multipart()[0]
        monkeypatch.setattr(codec, "PROTOCOL_VERSION", 99)
        frames = encode(1, Pong())
        monkeypatch.undo()
        foreign.send_multipart([sender, *frames])
        wait_for(lambda: client.link.phase is Phase.REFUSED)
        assert "same release" in client.link.hint
        client.close()


def test_an_endpoint_that_cannot_be_connected_to_is_named(connect):
    client = connect(lambda: "http://nonsense")
    wait_for(lambda: client.link.phase is Phase.REFUSED)
    assert "http://nonsense" in client.link.detail
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 1.5


def test_a_slow_line_connects_all_the_same(connect, service):
    # Every answer takes longer than the pause between two Hellos.
    context = zmq.Context()
    context.linger = 0
    front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    port = front.bind_to_random_port("tcp://127.0.0.1")
    wait_for(service.connection_file.exists, 60)
    back.connect(read_connection(service.connection_file).endpoint)
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
        connect(lambda: f"tcp://127.0.0.1:{port}").wait_ready(30)
    finally:
        stop.set()
        thread.join()


def test_a_broken_frame_loses_the_link_and_not_the_thread(connect, monkeypatch):
    import blender_addon.core.client as module

    def explode(*_):
        raise ValueError("unforeseen")

    monkeypatch.setattr(module, "decode_reply", explode)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        client = connect(lambda: f"tcp://127.0.0.1:{port}")
        router.send_multipart([router.recv_multipart()[0], b"x"])
        wait_for(lambda: client.link.phase is Phase.LOST)
        assert "unforeseen" in client.link.detail
        client.close()


def test_garbage_from_a_service_harms_nobody(connect):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as mad:
        port = mad.bind_to_random_port("tcp://127.0.0.1")
        client = connect(lambda: f"tcp://127.0.0.1:{port}")
        sender = mad.recv_multipart()[0]
        for junk in (b"", b"\xc1", b"x" * 1000, bytes(range(256))):
            mad.send_multipart([sender, junk, junk])
        wait_for(lambda: client.link.phase is Phase.REFUSED)
        client.close()


def test_closing_twice_and_asking_afterwards_is_no_error(connect):
    client = connect(lambda: "tcp://127.0.0.1:9")
    client.close()
    client.close()
    with pytest.raises(RequestError):
        client.call(Ping(), 0.2)
