# SPDX-License-Identifier: Apache-2.0
"""Other users of the machine, who reach the port and cannot read the connection file."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace

import psutil
import pytest
import zmq

from effigy_protocol import encode
from effigy_protocol.messages import FromSeed, Hello, OpenIdentity, Ping, Pong, Status

from .conftest import set_keys
from .strangers import greeting, ready, taken_of_a_message_without_end


def other_keys(connection, *names):
    """The connection with keys of somebody else's."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    drawn = {"service_key": public, "client_key": secret}
    return replace(connection, **{name: drawn[name] for name in names})


@pytest.mark.parametrize("known", ["the port", "the port and a client's key", "the port and the service's key"])
def test_a_stranger_is_told_nothing_and_nothing_is_done_for_it(context, shared_service, client, known):
    """Before, it was answered, with "unproven", and ZeroMQ kept for it whatever it sent."""
    before = client.ask(Status())
    connection = shared_service.connection()
    stranger = context.socket(zmq.DEALER)
    if known != "the port":
        set_keys(stranger, other_keys(connection, "client_key" if "service" in known else "service_key"))
    stranger.setsockopt(zmq.RECONNECT_IVL, -1)
    monitor = stranger.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    stranger.connect(connection.endpoint)
    with contextlib.suppress(zmq.Again):  # it is thrown out already
        for number, message in enumerate((Hello("me"), OpenIdentity(FromSeed(1)), Ping())):
            stranger.send_multipart(encode(number, message), zmq.NOBLOCK)
    assert monitor.poll(300_000), "it is left waiting"
    assert int.from_bytes(monitor.recv_multipart()[0][:2], "little") == zmq.EVENT_DISCONNECTED
    assert not stranger.poll(100)
    stranger.disable_monitor()
    monitor.close()
    stranger.close()
    after = client.ask(Status())
    assert (after.clients, after.identities, after.queued) == (before.clients, before.identities, before.queued)


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
def test_a_strangers_message_without_end_is_not_kept(client, shared_service, mechanism):
    """ZeroMQ keeps a message's parts until the last has come: before, all of this, and whatever would have followed."""
    host, port = shared_service.connection().endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), timeout=300) as stranger:
        stranger.sendall(greeting(mechanism) + (ready("DEALER") if mechanism == "NULL" else b""))
        taken = taken_of_a_message_without_end(stranger, 256 * 2**20)
    assert taken < 32 * 2**20, "the system's own buffers, and no more"
    assert client.ask(Ping()) == Pong()


def test_the_connections_that_strangers_can_open_are_bounded(client, shared_service):
    """Each can hold a frame of 1 MiB for 10 s; some systems let a process have a million connections."""
    allowed, _ = psutil.Process(shared_service.process.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert 0 < allowed <= 512
