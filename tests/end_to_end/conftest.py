# SPDX-License-Identifier: Apache-2.0
"""Real services: the installed command in a process of its own, and sockets to talk to it."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from effigy_protocol import PROTOCOL_VERSION, decode_reply, encode
from effigy_protocol.connection import Connection, ConnectionFileError, read_connection
from effigy_protocol.messages import Error, Hello, Welcome


class Service:
    """An ``effigy serve`` process."""

    def __init__(self, command: str, folder: Path, *options: str) -> None:
        """The first default is served, whose figures tests know, unless ``options`` name another --model."""
        self.connection_file = folder / "connection.json"
        self.log = folder / "service.log"
        with self.log.open("wb") as log:
            named = ["--model", "first-default", "--connection-file", str(self.connection_file)]
            self.process = subprocess.Popen([command, "serve", *named, *options], stdout=log, stderr=log)

    def connection(self, timeout: float = 300.0) -> Connection:
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return read_connection(self.connection_file)
            except ConnectionFileError:
                time.sleep(0.02)
        raise AssertionError(f"no service: {self.log.read_text()}")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(300)


def set_keys(socket: zmq.Socket[Any], keys: Any) -> None:
    """Gives a client's socket the keys of a Connection, or of who drew them."""
    secret = keys.client_key.encode()
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_public(secret), secret
    socket.curve_serverkey = keys.service_key.encode()


class RawClient:
    """A client without comforts: what it sends and gets is what travels."""

    def __init__(self, context: zmq.Context[Any], connection: Connection) -> None:
        self.socket = context.socket(zmq.DEALER)
        set_keys(self.socket, connection)
        self.socket.connect(connection.endpoint)
        self.ids = itertools.count(1)

    def send(self, message: Any, payload: Sequence[bytes] = ()) -> int:
        """Sends a message, or a header's ``kind`` and ``body`` as they are, with their ``payload``."""
        request_id = next(self.ids)
        if isinstance(message, dict):
            rest = {"v": PROTOCOL_VERSION, "id": request_id, "sizes": [len(frame) for frame in payload]}
            self.socket.send_multipart([msgpack.packb(message | rest), *payload])
        else:
            self.socket.send_multipart(encode(request_id, message))
        return request_id

    def receive(self, timeout: float = 300.0) -> tuple[int, Any]:
        assert self.socket.poll(int(timeout * 1000)), "no reply"
        envelope = decode_reply(self.socket.recv_multipart())
        return envelope.id, envelope.message

    def ask(self, message: Any, payload: Sequence[bytes] = ()) -> Any:
        wanted = self.send(message, payload)
        while True:
            answered, reply = self.receive()
            if answered == wanted:
                return reply

    def hello(self) -> Welcome:
        while isinstance(reply := self.ask(Hello("test")), Error) and reply.code == "loading":
            time.sleep(0.05)
        assert isinstance(reply, Welcome), reply
        return reply


@pytest.fixture(scope="session")
def context() -> Iterator[zmq.Context[Any]]:
    context: zmq.Context[Any] = zmq.Context()
    context.linger = 0
    yield context
    context.destroy()


@pytest.fixture()
def start(effigy_command: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services with options; all are gone after the test."""
    services: list[Service] = []

    def run(*options: str) -> Service:
        folder = tmp_path / f"service{len(services)}"
        folder.mkdir()
        services.append(Service(effigy_command, folder, *options))
        return services[-1]

    yield run
    for service in services:
        service.process.kill()
        service.process.wait()


@pytest.fixture(scope="session")
def shared_service(effigy_command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that leave it as it was; it leaves with pytest at the latest."""
    folder = tmp_path_factory.mktemp("shared")
    service = Service(effigy_command, folder, "--parent-pid", str(os.getpid()))
    yield service
    assert service.stop() == 0


@pytest.fixture()
def client(context: zmq.Context[Any], shared_service: Service) -> Iterator[RawClient]:
    client = RawClient(context, shared_service.connection())
    client.hello()
    yield client
    client.socket.close()


@pytest.fixture()
def connect(context: zmq.Context[Any]) -> Iterator[Callable[[Service], RawClient]]:
    """Opens clients to services; all are closed after the test."""
    clients: list[RawClient] = []

    def run(service: Service) -> RawClient:
        clients.append(RawClient(context, service.connection()))
        return clients[-1]

    yield run
    for client in clients:
        client.socket.close()
