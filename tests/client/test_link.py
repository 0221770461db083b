# SPDX-License-Identifier: Apache-2.0
"""A link to a service that says what a test has it say: errors stay where they belong, and nothing hangs."""

from __future__ import annotations

import time

import msgpack
import pytest
import zmq

from effigy_client.errors import GoneError, RequestError
from effigy_client.exchange import Exchange
from effigy_client.outbox import Outbox, Painted
from effigy_client.pixels import Buffers
from effigy_client.state import Phase, State
from effigy_client.transport import ClosedError
from effigy_protocol import PROTOCOL_VERSION, REQUEST_LIMITS
from effigy_protocol.connection import ConnectionFileError
from effigy_protocol.messages import (
    Frame,
    FromLatent,
    OpenIdentity,
    Ping,
    Pong,
    Pose,
    Status,
    StatusReport,
    Synthesize,
    Timings,
)

from .impostors import at, listening, wait_for


def test_requests_without_a_service_fail_and_do_not_hang(connect):
    def find():
        raise ConnectionFileError("there is no connection file x: start the backend first")

    client = connect(find)
    with pytest.raises(RequestError, match="no connection file"):
        client.call(Ping(), 300)
    with pytest.raises(RequestError, match="no backend within"):
        client.wait_ready(0.3)


def test_a_service_that_will_never_come_is_told_at_once(connect):
    def find():
        raise GoneError("the backend ended with code 3: the model is missing")

    client = connect(find)
    with pytest.raises(RequestError, match="the model is missing"):
        client.wait_ready(300)


class Breaking:
    """A transport that breaks at the second message that is sent: the first is the greeting."""

    def __init__(self):
        self.sent = 0

    def send(self, frames):
        self.sent += 1
        if self.sent > 1:
            raise ClosedError

    def receive(self, seconds):
        return None

    def wake(self):
        pass

    def close(self):
        pass


def test_whatever_waits_when_a_connection_breaks_is_answered():
    outbox, states = Outbox(), []
    answers = [outbox.ask(Ping(), 300) for _ in range(3)]
    for stream in (1, 2):
        outbox.want(Synthesize("x", 0.0, 0.0, {}, stream=stream), stream)
    ready = State(Phase.READY, "")
    exchange = Exchange(Breaking(), at(9)(), "test", outbox, Buffers(), ready, states.append)
    exchange.run(lambda: False)
    for answer in answers:
        with pytest.raises(RequestError, match="closed"):
            answer.result(0)
    assert {preview.tag for preview in outbox.previews()} == {1, 2}
    assert not outbox.streams
    assert states[-1].phase is Phase.LOST


def test_a_service_that_never_answers_times_out(connect):
    with zmq.Context() as context, listening(context) as silent:
        port = silent.bind_to_random_port("tcp://127.0.0.1")
        client = connect(at(port))
        with pytest.raises(RequestError, match="no backend within"):
            client.wait_ready(0.5)
        with pytest.raises(RequestError, match="no answer"):
            client.call(Ping(), 0.2)
        client.close()


def test_a_reply_that_cannot_be_read_fails_its_own_request_alone(connect, impostor):
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(300)
    answers = [client.ask(Status(), 300) for _ in range(3)]
    ids = [impostor.asked(Status).id for _ in answers]
    fields = {"v": PROTOCOL_VERSION, "id": ids[0], "kind": "StatusReport", "body": {}, "sizes": []}
    impostor.router.send_multipart([impostor.client, msgpack.packb(fields)])
    impostor.router.send_multipart([impostor.client, b"\xc1 nobody's"])
    impostor.send(ids[1], Pong())
    report = StatusReport("ready", "", "cpu", 1.0, 1, 1, 1, 1)
    impostor.send(ids[2], report)
    assert answers[2].result(300) == report
    for answer, why in ((answers[0], "lacks"), (answers[1], "Pong is no answer")):
        with pytest.raises(RequestError, match=why) as caught:
            answer.result(300)
        assert caught.value.code == "unreadable"
    assert client.state.phase is Phase.READY


@pytest.mark.parametrize("kind", [Pong(), "png", "unreadable"])
def test_an_answer_that_is_no_preview_does_not_stop_previews(connect, impostor, kind):
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(300)
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
    assert preview.outcome.code == "unreadable"
    assert not client.is_busy
    client.preview(Synthesize("x", 1.0, 0.0, {}), tag=2)
    request_id = impostor.asked(Synthesize).id
    impostor.send(request_id, Frame("x", "preview", 4, 4, "rgba8", bytes(64), True, pose, (), {}, timings))
    wait_for(lambda: client.has_previews)
    assert isinstance(client.previews()[0].outcome, Painted)
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
    client.wait_ready(300)
    with pytest.raises(RequestError) as caught:
        client.ask(broken, 300).result(300)
    assert caught.value.code in ("bad-field", "malformed", "too-large")
    assert caught.value.hint
    assert client.state.phase is Phase.READY
    assert not any(isinstance(message, type(broken)) for message in impostor.heard)


@pytest.mark.parametrize("when", ["before the client knows", "after"])
def test_what_is_sent_to_a_closed_connection_does_not_hang(connect, impostor, monkeypatch, when):
    import effigy_client.transport as module

    if when == "before the client knows":  # as where a request is sent while the loss is on its way here
        monkeypatch.setattr(module, "_LOST", zmq.EVENT_LISTENING)
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(300)
    impostor.router.close()
    answers = []
    while client.state.phase is Phase.READY:
        answers.append(client.ask(Status(), 20))
        time.sleep(0.01)
    for answer in answers:
        with pytest.raises(RequestError):
            answer.result(300)


def test_a_backend_that_is_gone_is_known_gone_at_once(connect):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
    client = connect(at(port))
    with pytest.raises(RequestError, match="nothing answers on"):
        client.wait_ready(300)


def test_a_pause_of_this_process_is_not_taken_for_silence(connect, impostor, monkeypatch):
    import effigy_client.exchange as module

    now = time.monotonic
    skipped = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now() + skipped)
    client = connect(at(impostor.port))
    impostor.welcome()
    client.wait_ready(300)
    skipped = 3600.0  # the computer slept
    for _ in range(3):
        request = impostor.asked(Ping)
        impostor.send(request.id, Pong())
    assert client.state.phase is Phase.READY


def test_closing_twice_and_asking_afterwards_is_no_error(connect):
    client = connect(at(9))
    client.close()
    client.close()
    with pytest.raises(RequestError):
        client.call(Ping(), 0.2)
