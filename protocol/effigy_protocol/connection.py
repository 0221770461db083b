# SPDX-License-Identifier: Apache-2.0
"""The connection file, by which a client on this machine finds the service and gets its keys.

It is JSON with mode 0600. The service writes it when it is ready to answer, and removes it when it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .codec import PROTOCOL_VERSION
from .files import beside

_MAX_BYTES = 16 * 1024
_MAX_PID = 2**32  # of any system
_ENDPOINT = re.compile(r"tcp://[!-.0-~]+:[0-9]{1,5}")  # printable ASCII without a slash
_KEY = re.compile(r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")  # 32 bytes as ZeroMQ writes them (Z85, its RFC 32)


class ConnectionFileError(Exception):
    """The connection file is missing, unreadable or no connection file."""


class OtherVersionError(ConnectionFileError):
    """The connection file is of a service that speaks another version of the protocol."""

    def __init__(self, path: Path, protocol: int, pid: int) -> None:
        self.pid = pid
        older = "backend" if protocol < PROTOCOL_VERSION else "client (in Blender, the add-on)"
        super().__init__(
            f"the backend of {path} speaks version {protocol} of the protocol, this side {PROTOCOL_VERSION}: update "
            f"the {older}; both come with the same release"
        )


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a service. Its keys never appear in a log or traceback."""

    endpoint: str  # a ZeroMQ address such as tcp://127.0.0.1:40123
    pid: int  # of the service
    service_key: str = field(repr=False)  # the public half of the service's CURVE key, by which clients recognise it
    client_key: str = field(repr=False)  # the secret half of its clients' CURVE key
    protocol: int = PROTOCOL_VERSION
    machine: str = field(default_factory=platform.node)

    def write(self, path: Path) -> None:
        """Creates or replaces ``path``, readable by its owner alone from its first byte on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = beside(path, f".{os.getpid()}")
        temporary.unlink(missing_ok=True)  # of a service that was killed; in containers many have the same number
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(asdict(self), file)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def read_connection(path: Path) -> Connection:
    """Reads a connection file. Raises ConnectionFileError that says what is wrong with it."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # reading a pipe would block
            raise ConnectionFileError(f"{path} is not a file: start the backend again, and choose the one it writes")
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise ConnectionFileError(f"{path} can be read by others; remove it, or run: chmod 600 {path}")
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConnectionFileError(f"there is no connection file {path}: start the backend first") from None
    except OSError as error:
        raise ConnectionFileError(f"the connection file {path} cannot be read: {error.strerror}") from None
    try:
        if len(raw) > _MAX_BYTES:
            raise ValueError
        fields = json.loads(raw)
        endpoint, pid, protocol = fields["endpoint"], fields["pid"], fields["protocol"]
        if not (isinstance(endpoint, str) and type(pid) is int and 0 < pid < _MAX_PID and type(protocol) is int):
            raise TypeError
        if protocol != PROTOCOL_VERSION:  # the rest may look different in another one
            raise OtherVersionError(path, protocol, pid)
        keys, machine = (fields["service_key"], fields["client_key"]), fields["machine"]
        if not (all(isinstance(key, str) and _KEY.fullmatch(key) for key in keys) and isinstance(machine, str)):
            raise TypeError
        if not _ENDPOINT.fullmatch(endpoint):
            raise ConnectionFileError(f"{path} names the endpoint {endpoint[:80]!r}, which is not tcp://host:port")
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ConnectionFileError(f"{path} is not a connection file: start the backend again") from None
    return Connection(endpoint, pid, *keys, protocol, machine)


def remove_connection(path: Path, pid: int) -> None:
    """Removes the file that the service with this ``pid`` on this machine wrote, unless another has replaced it."""
    with contextlib.suppress(ConnectionFileError, OSError):
        connection = read_connection(path)
        if (connection.pid, connection.machine) == (pid, platform.node()):
            path.unlink()
