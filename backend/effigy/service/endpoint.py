# SPDX-License-Identifier: Apache-2.0
"""The address that the service listens on."""

from __future__ import annotations

import contextlib
import ipaddress
from pathlib import Path

import platformdirs
import psutil
import zmq

MAX_DESCRIPTORS = 512  # each may be a connection of a process without keys, for which ZeroMQ keeps up to one frame


class EndpointError(Exception):
    """An address that the service cannot or must not listen on. The message says why, ``hint`` what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}: {hint}")
        self.what, self.hint = what, hint


def default_connection_file() -> Path:
    """Returns where a service that was started by hand writes its connection file: in the user's state folder."""
    return platformdirs.user_state_path("effigy") / "connection.json"


def limit_connections() -> None:
    """Limits this process to MAX_DESCRIPTORS open descriptors, where the system can. Some systems allow a million."""
    with contextlib.suppress(psutil.Error, AttributeError):  # not on Windows and macOS
        process = psutil.Process()
        allowed, most = process.rlimit(psutil.RLIMIT_NOFILE)
        if not 0 <= allowed <= MAX_DESCRIPTORS:  # -1: any number
            process.rlimit(psutil.RLIMIT_NOFILE, (MAX_DESCRIPTORS, most))


def bind(socket: zmq.Socket[bytes], host: str, port: int) -> str:
    """Binds ``socket`` to a TCP host and port (0: any free port) and returns the actual endpoint.

    Only loopback addresses are allowed: nothing outside this machine needs to reach the port.
    """
    address = _loopback(host)
    if address is None:
        raise EndpointError(
            f"{host} is not a loopback address, and the backend serves its own machine alone",
            "use 127.0.0.1, and an ssh tunnel (ssh -L) to reach it from another machine",
        )
    if not 0 <= port <= 65535:
        raise EndpointError(f"port {port} is not between 0 and 65535", "choose one that is; 0 takes any free one")
    if address.version == 6:
        socket.setsockopt(zmq.IPV6, 1)
    shown = f"[{address}]" if address.version == 6 else str(address)
    try:
        socket.bind(f"tcp://{shown}:{port or '*'}")
    except zmq.ZMQError as error:
        raise EndpointError(
            f"port {port} of {host} cannot be used ({error.strerror})",
            "stop what uses it, or choose another (--port 0 takes any free one)",
        ) from None
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def _loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if host == "localhost":
        host = "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return address if address.is_loopback else None
