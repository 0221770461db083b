# SPDX-License-Identifier: Apache-2.0
"""What a link meets on a port: a listener with the service's keys or others, which says what a test has it say."""

from __future__ import annotations

import os
import time

import zmq

from effigy_protocol import decode_request, encode
from effigy_protocol.connection import Connection
from effigy_protocol.messages import (
    Array,
    Hello,
    Welcome,
)

SERVICE, CLIENT = zmq.curve_keypair(), zmq.curve_keypair()
KEYS = SERVICE[0].decode(), CLIENT[1].decode()


class Found:
    """Where ``find`` finds a service; ``silence`` is called when that answers nothing any more."""

    def __init__(self, find, silence):
        self.find, self.fell_silent = find, silence


def at(port):
    return lambda: Connection(f"tcp://127.0.0.1:{port}", os.getpid(), *KEYS)


def listening(context, keys=SERVICE):
    """What clients that know the service's key connect to."""
    router = context.socket(zmq.ROUTER)
    router.curve_server, router.curve_secretkey = True, keys[1]
    return router


def wait_for(condition, timeout=300.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


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
        assert self.router.poll(300_000), "the client sends nothing"
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
