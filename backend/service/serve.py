# SPDX-License-Identifier: Apache-2.0
"""``effigy serve``: puts sockets, scheduler, worker and server together, and takes them apart cleanly."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import psutil
import structlog
import zmq

from protocol import PROTOCOL_VERSION, REQUEST_LIMITS
from protocol.connection import Connection, ConnectionFileError, read_connection, remove_connection

from ..models import load_face_model
from .endpoint import EndpointError, bind, default_connection_file
from .scheduler import Scheduler
from .server import Server
from .worker import Worker

log = structlog.get_logger()

_OUTBOX = "inproc://replies"
_LINGER_MS = 500  # how long last replies may take to leave
_WORKER_EXIT_S = 10.0  # for the picture being painted
_TELL_S = 1.0  # how long a failed service tells clients why, before it leaves


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


def serve(options: ServeOptions) -> int:
    """Serves until stopped by a signal, a dead parent or idleness; returns the process's exit code.

    Raises EndpointError when the address cannot be used, or the connection file is another's. Exit code
    3: the model could not be loaded. A worker that does not come to an end (it loads, or hangs) is left behind,
    and the process must end by itself.
    """
    path = options.connection_file or default_connection_file()
    _refuse_anothers(path)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.linger = 0
    router, outbox = context.socket(zmq.ROUTER), context.socket(zmq.PULL)
    # Larger frames are refused by ZeroMQ itself, before it allocates them; and no reply is ever dropped.
    router.setsockopt(zmq.MAXMSGSIZE, REQUEST_LIMITS.frame_bytes)
    router.set_hwm(0)
    outbox.set_hwm(0)
    router.setsockopt(zmq.LINGER, _LINGER_MS)
    scheduler = Scheduler()
    load = partial(load_face_model, options.model, options.device, fast_previews=True)
    worker = Worker(load, scheduler, context, _OUTBOX)
    server = Server(router, outbox, worker, scheduler)
    code = 1
    try:
        outbox.bind(_OUTBOX)
        endpoint = bind(router, options.host, options.port)
        _stop_on_signals(server)
        Connection(endpoint, os.getpid(), PROTOCOL_VERSION).write(path)
        log.info("serving", endpoint=endpoint, connection_file=str(path), pid=os.getpid())
        worker.start()
        code = _run(server, worker, options)
        server.leave()
        worker.join(_WORKER_EXIT_S if worker.phase == "ready" else 0)
        server.leave()
        log.info("left", exit_code=code)
        return code
    finally:
        scheduler.close()
        remove_connection(path, os.getpid())
        router.close()
        outbox.close()
        if worker.is_alive():
            log.warning("the worker is still busy: ending without it")
            os._exit(code)
        context.term()


def _refuse_anothers(path: Path) -> None:
    """Raises EndpointError when a backend that lives has written the connection file ``path``."""
    try:
        running = read_connection(path)
    except ConnectionFileError:
        return
    process = _process(running.pid)
    if process is None or process.create_time() > path.stat().st_mtime:
        return  # its writer is gone; another process may have got its number
    if running.pid != os.getpid():
        raise EndpointError(
            f"a backend runs already as process {running.pid} on {running.endpoint}",
            "stop it, or give this one a --connection-file of its own",
        )


def _run(server: Server, worker: Worker, options: ServeOptions) -> int:
    parent = _process(options.parent_pid)
    failed: float | None = None
    while server.step():
        if failed is None and (worker.phase == "failed" or not worker.is_alive()):
            failed = time.monotonic()
        if failed is not None and time.monotonic() - failed > _TELL_S:
            return 3
        if options.parent_pid is not None and not _lives(parent):
            log.info("parent is gone", parent=options.parent_pid)
            return 0
        if options.idle_exit and server.idle_s > options.idle_exit and worker.phase != "loading":
            log.info("no client was heard", seconds=options.idle_exit)
            return 0 if failed is None else 3
    return 0


def _lives(process: psutil.Process | None) -> bool:
    """Whether the process still runs: not gone, not another with its number, and not a zombie."""
    try:
        return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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
