# SPDX-License-Identifier: Apache-2.0
"""``effigy serve``: assembles sockets, scheduler, worker and server, and shuts them down cleanly."""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
import structlog
import zmq

from effigy_protocol import CURVE_BYTES, REQUEST_LIMITS
from effigy_protocol.connection import (
    Connection,
    ConnectionFileError,
    OtherVersionError,
    read_connection,
    remove_connection,
)

from ..faces import FaceModel, describe_looks, landmarks_note, load_face_model
from .authentication import Authenticator
from .endpoint import EndpointError, bind, default_connection_file
from .scheduler import Scheduler
from .server import Server
from .worker import Worker

log = structlog.get_logger()

_REPLIES = "inproc://replies"
_UNREAD = 64  # requests of a client that ZeroMQ has ready; while more wait, the client's own connection is full
_HANDSHAKE_MS = 10_000  # how long a connection may take to prove that it is a client's
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


class ServiceError(Exception):
    """The service ended without being asked to. The message says why, and what to do."""

    def __init__(self, message: str, *, exit_code: int, is_stuck: bool) -> None:
        """``is_stuck``: the worker does not come to an end, so that the process must be ended without it."""
        super().__init__(message)
        self.exit_code = exit_code
        self.is_stuck = is_stuck


def serve(options: ServeOptions) -> None:
    """Serves until stopped by a signal, a dead parent or idleness.

    Raises EndpointError when the address cannot be used, or the connection file is another's, OSError when that file
    cannot be written, and ServiceError with exit code 3 when the model could not be loaded, with 1 when the service
    failed. Where all is well but the worker does not come to an end (it loads, or hangs) the process ends here.
    """
    path = options.connection_file or default_connection_file()
    _refuse_anothers(path)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.linger = 0
    router, replies = context.socket(zmq.ROUTER), context.socket(zmq.PULL)
    # Larger frames are refused by ZeroMQ itself, before it allocates them. What one client sends waits in its own
    # connection while the service reads others'.
    router.setsockopt(zmq.MAXMSGSIZE, REQUEST_LIMITS.frame_bytes + CURVE_BYTES)
    router.setsockopt(zmq.RCVHWM, _UNREAD)
    router.setsockopt(zmq.LINGER, _LINGER_MS)
    replies.set_hwm(0)  # no answer is ever dropped on its way from the worker
    router.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    scheduler, authenticator = Scheduler(), Authenticator(context, router)
    worker = Worker(partial(_load, options), scheduler, context, _REPLIES)
    server = Server(router, replies, worker, scheduler, authenticator)
    failure: str | None = None
    code = 0
    try:
        replies.bind(_REPLIES)
        endpoint = bind(router, options.host, options.port)
        _stop_on_signals(server)
        Connection(endpoint, os.getpid(), authenticator.service_key, authenticator.client_key).write(path)
        log.info("serving", endpoint=endpoint, connection_file=str(path), pid=os.getpid())
        worker.start()
        try:
            code = _run(server, worker, options)
            server.leave()
            worker.join(_WORKER_EXIT_S if worker.phase == "ready" else 0)
            server.leave()
        except Exception as error:
            log.exception("the service failed")
            code, failure = 1, f"the service failed ({type(error).__name__}: {error}): please report it, with its log"
        log.info("left", exit_code=code)
    finally:
        scheduler.close()
        remove_connection(path, os.getpid())
        router.close()
        authenticator.close()
        replies.close()
        if not worker.is_alive():
            context.term()
    if code:
        raise ServiceError(failure or worker.detail, exit_code=code, is_stuck=worker.is_alive())
    if worker.is_alive():
        log.warning("the worker is still busy: ending without it")
        end_now(0)


def end_now(code: int) -> NoReturn:
    """Ends the process at once, whatever its threads do, after flushing what it has printed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _refuse_anothers(path: Path) -> None:
    """Raises EndpointError when a backend that lives has written the connection file ``path``."""
    try:
        running = read_connection(path)
        pid, where = running.pid if running.machine == platform.node() else None, f" on {running.endpoint}"
    except OtherVersionError as error:
        pid, where = error.pid, ""
    except ConnectionFileError:
        return
    process = _process(pid)
    if process is None or process.create_time() > path.stat().st_mtime:
        return  # its writer is gone; another process may have got its number
    if pid != os.getpid():
        raise EndpointError(
            f"a backend runs already as process {pid}{where}",
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
    """Returns whether the process still runs: it is not gone, no zombie, and no other process with its number."""
    try:
        return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):  # it cannot be asked now, since strangers' connections have taken every descriptor
        return True


def _process(pid: int | None) -> psutil.Process | None:
    """Returns the process with this number, or None. Its ``is_running`` later tells it from another with the same
    number.
    """
    try:
        return None if pid is None else psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _load(options: ServeOptions) -> FaceModel:
    """Loads the model, and logs which looks its edits keep, because a bundle of an earlier Effigy keeps fewer."""
    model = load_face_model(options.model, options.device, fast_previews=True)
    log.info("edits", hold=describe_looks(options.model))
    if note := landmarks_note(options.model):
        log.warning("landmarks", note=note)
    return model


def _stop_on_signals(server: Server) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # an in-process service (tests) is stopped by its owner

    def handle(number: int, frame: FrameType | None) -> None:
        server.stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
