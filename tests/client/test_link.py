# SPDX-License-Identifier: Apache-2.0
"""The add-on's client against real services."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import msgpack
import pytest
import zmq

from effigy_client.errors import GoneError, RequestError
from effigy_client.face import Identities
from effigy_client.link import Link
from effigy_client.state import Phase
from effigy_protocol import PROTOCOL_VERSION, REQUEST_LIMITS, decode_request, encode
from effigy_protocol.connection import Connection, ConnectionFileError, read_connection
from effigy_protocol.messages import (
    Array,
    Frame,
    FromLatent,
    FromSeed,
    Hello,
    OpenIdentity,
    Ping,
    Pong,
    Pose,
    Status,
    StatusReport,
    Synthesize,
    Timings,
    Welcome,
)

from ..end_to_end.conftest import Service, set_keys
from ..end_to_end.strangers import greeting, ready, taken_of_a_message_without_end

SERVICE, CLIENT = zmq.curve_keypair(), zmq.curve_keypair()
KEYS = SERVICE[0].decode(), CLIENT[1].decode()


@pytest.fixture()
def service(effigy_command, tmp_path):
    service = Service(effigy_command, tmp_path, "--parent-pid", str(os.getpid()))
    yield service
    service.process.kill()
    service.process.wait()


class Found:
    """Where ``find`` finds a service; ``silence`` is called when that answers nothing any more."""

    def __init__(self, find, silence):
        self.find, self.fell_silent = find, silence


@pytest.fixture()
def connect():
    clients = []

    def run(find, silence=lambda: None):
        clients.append(Link(Found(find, silence), "test"))
        return clients[-1]

    yield run
    for client in clients:
        client.close()
        assert not client._thread.is_alive(), "it hangs"


def finder(service):
    return lambda: read_connection(service.connection_file)


def at(port):
    return lambda: Connection(f"tcp://127.0.0.1:{port}", os.getpid(), *KEYS)


def listening(context, keys=SERVICE):
    """What clients that know the service's key connect to."""
    router = context.socket(zmq.ROUTER)
    router.curve_server, router.curve_secretkey = True, keys[1]
    return router


def wait_for(condition, timeout=120.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


def test_it_finds_a_service_asks_and_gets_previews(service, connect):
    client = connect(finder(service))
    welcome = client.wait_ready(60)
    assert client.state.phase is Phase.READY
    identity = client.call(OpenIdentity(FromSeed(1)), 20).identity
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
    client = connect(lambda: read_connection(lives[-1].connection_file))
    client.wait_ready(60)
    identity = client.call(OpenIdentity(FromSeed(1)), 20).identity
    waiting = [client.ask(Synthesize(identity, float(yaw), 0.0, {}, "final"), 30) for yaw in range(30)]
    service.process.send_signal(signal.SIGKILL)
    with pytest.raises(RequestError, match="closed the connection"):
        waiting[-1].result(60)
    assert client.state.phase is Phase.LOST
    assert client.state.welcome is not None, "the controls are forgotten"
    (tmp_path / "second").mkdir()
    lives.append(Service(effigy_command, tmp_path / "second", "--parent-pid", str(os.getpid())))
    wait_for(lambda: client.state.phase is Phase.READY, 60)
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
    with pytest.raises(RequestError, match="the model is missing"):
        client.wait_ready(30)


def test_a_service_that_never_answers_times_out(connect):
    with zmq.Context() as context, listening(context) as silent:
        port = silent.bind_to_random_port("tcp://127.0.0.1")
        client = connect(at(port))
        with pytest.raises(RequestError, match="no backend within"):
            client.wait_ready(0.5)
        with pytest.raises(RequestError, match="no answer"):
            client.call(Ping(), 0.2)
        client.close()


def test_a_service_of_another_version_is_refused_with_what_to_do(connect, monkeypatch):
    from effigy_protocol import codec

    with zmq.Context() as context, listening(context) as foreign:
        port = foreign.bind_to_random_port("tcp://127.0.0.1")
        client = connect(at(port))
        sender = foreign.recv_multipart()[0]
        monkeypatch.setattr(codec, "PROTOCOL_VERSION", 99)
        frames = encode(1, Pong())
        monkeypatch.undo()
        foreign.send_multipart([sender, *frames])
        wait_for(lambda: client.state.phase is Phase.REFUSED)
        assert "update the client" in client.state.detail
        assert "same release" in client.state.hint
        client.close()


def test_an_endpoint_that_cannot_be_connected_to_is_named(connect):
    client = connect(lambda: Connection("http://nonsense", 1, *KEYS))
    wait_for(lambda: client.state.phase is Phase.REFUSED)
    assert "http://nonsense" in client.state.detail


def test_a_slow_line_connects_all_the_same(connect, service):
    # Every answer takes longer than the pause between two Hellos.
    context = zmq.Context()
    context.linger = 0
    front, back = listening(context), context.socket(zmq.DEALER)
    port = front.bind_to_random_port("tcp://127.0.0.1")
    wait_for(service.connection_file.exists, 60)
    set_keys(back, service.connection())
    back.connect(service.connection().endpoint)
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
        connect(at(port)).wait_ready(30)
    finally:
        stop.set()
        thread.join()


class Impostor:
    """What listens on a port: with the service's keys, or others, and says what a test has it say."""

    def __init__(self):
        self.context = zmq.Context()
        self.context.linger = 0
        self.heard = []
        self.open()

    def open(self, port=None, keys=SERVICE):
        self.router = listening(self.context, keys)
        self.port = port or self.router.bind_to_random_port("tcp://127.0.0.1")
        if port:
            wait_for(lambda: self.takes(port))  # which zmq's own thread still holds for a moment

    def takes(self, port):
        try:
            self.router.bind(f"tcp://127.0.0.1:{port}")
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise
            return False
        return True

    def receive(self):
        assert self.router.poll(20_000), "the client sends nothing"
        self.client, *frames = self.router.recv_multipart()
        envelope = decode_request(frames)
        self.heard.append(envelope.message)
        return envelope

    def send(self, request_id, message):
        self.router.send_multipart([self.client, *encode(request_id, message)])

    def welcome(self):
        """Lets a client in, as a service with a tiny model."""
        envelope = self.asked(Hello)
        none, indices = Array("f4", (3, 0), b""), Array("i4", (0,), b"")
        triangles, directions = Array("i4", (0, 3), b""), Array("f4", (0, 3, 0), b"")
        described = ("m", "name", (4, 4), "t", none, triangles, indices, (), (), directions)
        self.send(envelope.id, Welcome("effigy", "cpu", *described))

    def asked(self, kind):
        """The next request of this kind."""
        while not isinstance((envelope := self.receive()).message, kind):
            pass
        return envelope

    def close(self):
        self.router.close()
        self.context.term()


@pytest.fixture()
def impostor():
    impostor = Impostor()
    yield impostor
    impostor.close()


def test_a_reply_that_cannot_be_read_fails_its_own_request_alone(connect, impostor):
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(20)
    answers = [client.ask(Status(), 20) for _ in range(3)]
    ids = [impostor.asked(Status).id for _ in answers]
    fields = {"v": PROTOCOL_VERSION, "id": ids[0], "kind": "StatusReport", "body": {}, "sizes": []}
    impostor.router.send_multipart([impostor.client, msgpack.packb(fields)])
    impostor.router.send_multipart([impostor.client, b"\xc1 nobody's"])
    impostor.send(ids[1], Pong())
    report = StatusReport("ready", "", "cpu", 1.0, 1, 1, 1, 1)
    impostor.send(ids[2], report)
    assert answers[2].result(20) == report
    for answer, why in ((answers[0], "lacks"), (answers[1], "Pong is no answer")):
        with pytest.raises(RequestError, match=why) as caught:
            answer.result(20)
        assert caught.value.code == "unreadable"
    assert client.state.phase is Phase.READY


def test_a_welcome_that_cannot_be_read_is_told(connect, impostor):
    client = connect(at(impostor.port))
    fields = {"v": PROTOCOL_VERSION, "id": impostor.asked(Hello).id, "kind": "Welcome", "body": {}, "sizes": []}
    impostor.router.send_multipart([impostor.client, msgpack.packb(fields)])
    wait_for(lambda: client.state.phase is Phase.REFUSED)
    assert "Welcome lacks" in client.state.detail
    assert "same release" in client.state.hint


@pytest.mark.parametrize("kind", [Pong(), "png", "unreadable"])
def test_an_answer_that_is_no_preview_does_not_stop_previews(connect, impostor, kind):
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(20)
    client.preview(Synthesize("x", 0.0, 0.0, {}), tag=1)
    request_id = impostor.asked(Synthesize).id
    pose, timings = Pose(0, 0, 0, 1, 0, 0), Timings(0, 0, 0, 0)
    if kind == "png":
        impostor.send(request_id, Frame("x", "preview", 4, 4, "png", b"none", True, pose, (), {}, timings))
    elif kind == "unreadable":
        fields = {"v": PROTOCOL_VERSION, "id": request_id, "kind": "Frame", "body": {}, "sizes": []}
        impostor.router.send_multipart([impostor.client, msgpack.packb(fields)])
    else:
        impostor.send(request_id, kind)
    wait_for(lambda: client.has_previews)
    (preview,) = client.previews()
    assert preview.error.code == "unreadable"
    assert not client.is_busy
    client.preview(Synthesize("x", 1.0, 0.0, {}), tag=2)
    request_id = impostor.asked(Synthesize).id
    impostor.send(request_id, Frame("x", "preview", 4, 4, "rgba8", bytes(64), True, pose, (), {}, timings))
    wait_for(lambda: client.has_previews)
    assert client.previews()[0].frame is not None
    assert client.state.phase is Phase.READY


@pytest.mark.parametrize(
    "broken",
    [
        Synthesize("x", float("nan"), 0.0, {}, "final"),
        Synthesize("x", 0.0, 0.0, {"c": float("inf")}, "final"),
        OpenIdentity(FromLatent(b"x", "m" * 9000)),
        OpenIdentity(FromLatent(bytes(REQUEST_LIMITS.frame_bytes + 1))),
    ],
    ids=["nan", "inf", "text", "large"],
)
def test_what_may_not_be_sent_fails_alone_and_at_once(connect, impostor, broken):
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(20)
    with pytest.raises(RequestError) as caught:
        client.ask(broken, 20).result(20)
    assert caught.value.code in ("bad-field", "malformed", "too-large")
    assert caught.value.hint
    assert client.state.phase is Phase.READY
    assert not any(isinstance(message, type(broken)) for message in impostor.heard)


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
def test_who_does_not_have_the_services_key_learns_nothing(connect, mechanism):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as impostor:
        if mechanism == "CURVE":
            impostor.curve_server, impostor.curve_secretkey = True, zmq.curve_keypair()[1]
        client = connect(at(impostor.bind_to_random_port("tcp://127.0.0.1")))
        waiting = client.ask(OpenIdentity(FromLatent(b"a face", "m")), 20)
        wait_for(lambda: client.state.phase in (Phase.REFUSED, Phase.LOST))
        assert "the backend of the connection file" in client.state.detail
        with pytest.raises(RequestError):
            waiting.result(20)
        assert not impostor.poll(500)
        client.close()


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
def test_a_message_without_end_from_who_took_the_port_is_not_kept(connect, mechanism):
    """It would fill the memory that Blender has: before, all of this was kept, since a proof might have followed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        client = connect(at(listener.getsockname()[1]))
        with listener.accept()[0] as other:
            other.settimeout(60)
            other.sendall(greeting(mechanism, is_server=mechanism == "CURVE"))
            other.sendall(ready("ROUTER") if mechanism == "NULL" else b"")
            assert taken_of_a_message_without_end(other, 256 * 2**20) < 32 * 2**20
        client.close()


def test_keys_that_are_none_are_told_and_hang_nothing(connect):
    client = connect(lambda: Connection("tcp://127.0.0.1:9", 1, "#" * 40, "#" * 40))
    wait_for(lambda: client.state.phase is Phase.REFUSED)
    assert "connection file" in client.state.hint


def test_who_takes_the_port_of_a_backend_that_ended_gets_nothing_that_was_meant_for_it(connect, impostor):
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(20)
    port = impostor.port
    waiting = [client.ask(Synthesize("x", float(yaw), 0.0, {}, "final"), 20) for yaw in range(5)]
    impostor.asked(Synthesize)
    impostor.router.close()
    impostor.open(port, zmq.curve_keypair())
    for _ in range(20):
        waiting.append(client.ask(Synthesize("x", 9.0, 0.0, {}, "final"), 20))
        time.sleep(0.01)
    for answer in waiting:
        with pytest.raises(RequestError):
            answer.result(60)
    assert not impostor.router.poll(500)


@pytest.mark.parametrize("when", ["before the client knows", "after"])
def test_what_is_sent_to_a_closed_connection_does_not_hang(connect, impostor, monkeypatch, when):
    import effigy_client.transport as module

    if when == "before the client knows":  # as where a request is sent while the loss is on its way here
        monkeypatch.setattr(module, "_LOST", zmq.EVENT_LISTENING)
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(20)
    impostor.router.close()
    answers = []
    while client.state.phase is Phase.READY:
        answers.append(client.ask(Status(), 20))
        time.sleep(0.01)
    for answer in answers:
        with pytest.raises(RequestError):
            answer.result(20)


def test_a_backend_that_is_gone_is_known_gone_at_once(connect):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
    client = connect(at(port))
    with pytest.raises(RequestError, match="nothing answers on"):
        client.wait_ready(30)


def test_a_backend_that_stands_still_is_told_and_another_is_found(service, connect, monkeypatch, effigy_command):
    import effigy_client.exchange as module

    monkeypatch.setattr(module, "_SILENCE_S", 5.0)
    killed = []

    def kill():
        killed.append(service.process.pid)
        service.process.kill()

    client = connect(finder(service), kill)
    client.wait_ready(60)
    identity = client.call(OpenIdentity(FromSeed(1)), 20).identity
    service.process.send_signal(signal.SIGSTOP)
    with pytest.raises(RequestError, match="silent"):
        client.call(Synthesize(identity, 5.0, 0.0, {}, "final"), 30)
    wait_for(lambda: service.process.poll() is not None)
    assert killed == [service.process.pid]


def test_a_pause_of_this_process_is_not_taken_for_silence(connect, impostor, monkeypatch):
    import effigy_client.exchange as module

    now = time.monotonic
    skipped = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now() + skipped)
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(20)
    skipped = 3600.0  # the computer slept
    for _ in range(3):
        request = impostor.asked(Ping)
        impostor.send(request.id, Pong())
    assert client.state.phase is Phase.READY


def test_identities_that_nobody_uses_are_released(service, connect):
    client = connect(finder(service))
    client.wait_ready(60)
    identities = Identities(client)
    kept, other = (identities.open(OpenIdentity(FromSeed(seed))).result(20).identity for seed in (1, 2))
    identities.open(OpenIdentity(FromSeed(1))).result(20)  # a second face of the same person
    assert client.call(Status(), 5).identities == 2
    opening = identities.open(OpenIdentity(FromSeed(3)))
    if not opening.done():
        identities.release_all_but({kept})
    third = opening.result(20).identity
    identities.release_all_but({kept, third})
    wait_for(lambda: client.call(Status(), 5).identities == 2)
    with pytest.raises(RequestError, match="not open here"):
        client.call(Synthesize(other, 0.0, 0.0, {}, "final"), 20)
    assert client.call(Synthesize(kept, 0.0, 0.0, {}, "final"), 20).identity == kept


def test_a_broken_frame_loses_the_link_and_not_the_thread(connect, monkeypatch):
    import effigy_client.exchange as module

    def explode(*_):
        raise ValueError("unforeseen")

    monkeypatch.setattr(module, "decode_reply", explode)
    with zmq.Context() as context, listening(context) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        client = connect(at(port))
        router.send_multipart([router.recv_multipart()[0], b"x"])
        wait_for(lambda: client.state.phase is Phase.LOST)
        assert "unforeseen" in client.state.detail
        client.close()


def test_garbage_from_a_service_harms_nobody(connect):
    with zmq.Context() as context, listening(context) as mad:
        port = mad.bind_to_random_port("tcp://127.0.0.1")
        client = connect(at(port))
        sender = mad.recv_multipart()[0]
        for junk in (b"", b"\xc1", b"x" * 1000, bytes(range(256))):
            mad.send_multipart([sender, junk, junk])
        wait_for(lambda: client.state.phase is Phase.REFUSED)
        client.close()


def test_closing_twice_and_asking_afterwards_is_no_error(connect):
    client = connect(at(9))
    client.close()
    client.close()
    with pytest.raises(RequestError):
        client.call(Ping(), 0.2)
