# SPDX-License-Identifier: Apache-2.0
"""Where the service listens."""

from __future__ import annotations

import ipaddress

import zmq


class EndpointError(Exception):
    """An address that the service cannot or must not listen on; the message says what to do."""


def bind(socket: zmq.Socket[bytes], host: str, port: int) -> str:
    """Binds ``socket`` to tcp host and port (0: any free one); returns the real endpoint.

    Only loopback addresses: the stream is not encrypted, so nothing off this machine may reach it.
    """
    if not _is_loopback(host):
        raise EndpointError(
            f"{host} is not a loopback address, and the connection is not encrypted: use 127.0.0.1, "
            "and an ssh tunnel (ssh -L) to reach it from another machine"
        )
    if not 0 <= port <= 65535:
        raise EndpointError(f"port {port} is not between 0 and 65535")
    try:
        socket.bind(f"tcp://{host}:{port or '*'}")
    except zmq.ZMQError as error:
        raise EndpointError(
            f"port {port} of {host} cannot be used ({error.strerror}): "
            "stop what uses it, or choose another (--port 0 takes any free one)"
        ) from None
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
