# SPDX-License-Identifier: Apache-2.0
"""``effigy serve``: puts sockets, scheduler, worker and server together, and takes them apart cleanly."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import platformdirs
import psutil
import structlog
import zmq

from protocol import PROTOCOL_VERSION, REQUEST_LIMITS
from protocol.connection import Connection, remove_connection

from ..models import load_face_model
from .endpoint import bind
from .scheduler import Scheduler
from .server import Server
from .worker import Worker

log = structlog.get_logger()

_OUTBOX = "inproc://replies"
_LINGER_MS = 500  # how long last replies may take to leave
_WORKER_EXIT_S = 10.0  # for the picture being painted


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What to serve and where.

    ``parent_pid``: leave when this process is gone. ``idle_exit``: leave when no client was heard for so
    many seconds (0: never).
    """

    model: Path
    host: str = "127.0.0.1"
    port: int = 0
    connection_file: Path | None = None
    device: str = "auto"
    parent_pid: int | None = None
    idle_exit: float = 0.0


def default_connection_file() -> Path:
    """Where a service started by hand is found: in the user's state folder."""
    return platformdirs.user_state_path("effigy") / "connection.json"


def serve(options: ServeOptions) -> int:
    """Serves until stopped by a signal, a dead parent or idleness; returns the process's exit code.

    Raises EndpointError when the address cannot be used. Exit code 3: the model could not be loaded.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.linger = 0
    router, outbox = context.socket(zmq.ROUTER), context.socket(zmq.PULL)
    path = options.connection_file or default_connection_file()
    try:
        # Larger frames are refused by ZeroMQ itself, before it allocates them.
        router.setsockopt(zmq.MAXMSGSIZE, REQUEST_LIMITS.frame_bytes)
        router.setsockopt(zmq.LINGER, _LINGER_MS)
        outbox.bind(_OUTBOX)
        endpoint = bind(router, options.host, options.port)
        scheduler = Scheduler()
        worker = Worker(lambda: load_face_model(options.model, options.device), scheduler, context, _OUTBOX)
        server = Server(router, outbox, worker, scheduler)
        _stop_on_signals(server)
        Connection(endpoint, os.getpid(), PROTOCOL_VERSION).write(path)
        log.info("serving", endpoint=endpoint, connection_file=str(path), pid=os.getpid())
        worker.start()
        try:
            code = _run(server, worker, options)
            server.leave()
            worker.join(_WORKER_EXIT_S)
            server.leave()
        finally:
            remove_connection(path, os.getpid())
        log.info("left", exit_code=code)
        return code
    finally:
        router.close()
        outbox.close()
        context.term()


def _run(server: Server, worker: Worker, options: ServeOptions) -> int:
    parent = _process(options.parent_pid)
    while server.step():
        if worker.phase == "failed":
            return 3
        if options.parent_pid is not None and (parent is None or not parent.is_running()):
            log.info("parent is gone", parent=options.parent_pid)
            return 0
        if options.idle_exit and server.idle_s > options.idle_exit:
            log.info("no client was heard", seconds=options.idle_exit)
            return 0
    return 0


def _process(pid: int | None) -> psutil.Process | None:
    """The process as it is now: ``is_running`` later tells it from another that got the same number."""
    try:
        return None if pid is None else psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _stop_on_signals(server: Server) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # an in-process service (tests) is stopped by its owner

    def handle(number: int, frame: FrameType | None) -> None:
        server.stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
