# SPDX-License-Identifier: Apache-2.0
"""Authentication: only clients that hold the connection file's keys get a connection.

Other users of this machine can reach the port, but cannot read that file. ZeroMQ's CURVE proves each side to the other
before either takes a message: until then a connection costs no more than a frame of its handshake.
"""

from __future__ import annotations

import zmq
from zmq.utils import z85

from .endpoint import EndpointError

_ASKED_AT = "inproc://zeromq.zap.01"  # where ZeroMQ asks who may connect (ZAP, its RFC 27)
_ADMITTED = b"200", b"admitted", b"", b""
_REFUSED = b"400", b"not the key of the connection file", b"", b""


class Authenticator:
    """Draws a service's keys, and tells ZeroMQ for each client that connects whether it has them."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], router: zmq.Socket[bytes]) -> None:
        """``router`` is not bound yet. Raises EndpointError where ZeroMQ has no CURVE."""
        if not zmq.has("curve"):
            raise EndpointError("this ZeroMQ was built without CURVE", "install pyzmq from PyPI: its wheels have it")
        service_public, service_secret = zmq.curve_keypair()
        client_public, client_secret = zmq.curve_keypair()
        self.service_key = service_public.decode()
        self.client_key = client_secret.decode()
        self._admitted = z85.decode(client_public)
        router.curve_server = True
        router.curve_secretkey = service_secret
        router.zap_domain = b"effigy"  # without one, ZeroMQ would let everybody in if nobody answered
        self.asked = context.socket(zmq.REP)
        self.asked.bind(_ASKED_AT)

    def answer(self) -> None:
        """Answers one of ZeroMQ's authentication requests (ZAP), which come on the socket ``asked``."""
        version, number, _domain, _address, _routing_id, _mechanism, key = self.asked.recv_multipart()
        self.asked.send_multipart([version, number, *(_ADMITTED if key == self._admitted else _REFUSED)])

    def close(self) -> None:
        self.asked.close()
