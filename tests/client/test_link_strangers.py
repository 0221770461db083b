# SPDX-License-Identifier: Apache-2.0
"""A link to what is not its service: nothing is told, nothing is kept, and the reason is named."""

from __future__ import annotations

import socket
import time

import msgpack
import pytest
import zmq

from effigy_client.errors import RequestError
from effigy_client.state import Phase
from effigy_protocol import PROTOCOL_VERSION, encode
from effigy_protocol.connection import Connection
from effigy_protocol.messages import (
    FromLatent,
    Hello,
    OpenIdentity,
    Pong,
    Synthesize,
)

from ..end_to_end.strangers import greeting, ready, taken_of_a_message_without_end
from .impostors import KEYS, at, listening, wait_for


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


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
def test_who_does_not_have_the_services_key_learns_nothing(connect, mechanism):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as impostor:
        if mechanism == "CURVE":
            impostor.curve_server, impostor.curve_secretkey = True, zmq.curve_keypair()[1]
        client = connect(at(impostor.bind_to_random_port("tcp://127.0.0.1")))
        waiting = client.ask(OpenIdentity(FromLatent(b"a face", "m")), 300)
        wait_for(lambda: client.state.phase in (Phase.REFUSED, Phase.LOST))
        assert "the backend of the connection file" in client.state.detail
        with pytest.raises(RequestError):
            waiting.result(300)
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
    client.wait_ready(300)
    port = impostor.port
    waiting = [client.ask(Synthesize("x", float(yaw), 0.0, {}, "final"), 300) for yaw in range(5)]
    impostor.asked(Synthesize)
    impostor.router.close()
    impostor.open(port, zmq.curve_keypair())
    for _ in range(20):
        waiting.append(client.ask(Synthesize("x", 9.0, 0.0, {}, "final"), 20))
        time.sleep(0.01)
    for answer in waiting:
        with pytest.raises(RequestError):
            answer.result(300)
    assert not impostor.router.poll(500)


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


def test_a_welcome_that_cannot_be_read_is_told(connect, impostor):
    client = connect(at(impostor.port))
    fields = {"v": PROTOCOL_VERSION, "id": impostor.asked(Hello).id, "kind": "Welcome", "body": {}, "sizes": []}
    impostor.router.send_multipart([impostor.client, msgpack.packb(fields)])
    wait_for(lambda: client.state.phase is Phase.REFUSED)
    assert "Welcome lacks" in client.state.detail
    assert "same release" in client.state.hint


def test_an_endpoint_that_cannot_be_connected_to_is_named(connect):
    client = connect(lambda: Connection("http://nonsense", 1, *KEYS))
    wait_for(lambda: client.state.phase is Phase.REFUSED)
    assert "http://nonsense" in client.state.detail
