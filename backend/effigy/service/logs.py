# SPDX-License-Identifier: Apache-2.0
"""Structured logs: readable in a terminal, JSON lines everywhere else, bounded whatever happens.

They go to standard error, or to a file of this process's own in a folder. What repeats is counted, not written.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from io import TextIOWrapper
from logging import LogRecord, makeLogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path

import psutil
import structlog

from effigy_protocol.files import remove_older

_FILE_BYTES = 2**20  # of a log, then it is begun anew; the one before is kept as ….log.1
_KEPT = 10  # logs in a folder
_ALIKE = 10  # lines of one kind and client that are written within _PERIOD_S
_ALIKE_IN_ALL = 40  # of one kind: clients that come and go, each with lines of its own, are bounded together
_PERIOD_S = 60.0
_NAME = re.compile(r"backend-(\d{1,9})-\w+\.log")  # with the number of its process
_KINDS = 1000  # of lines, and of their clients, that are told apart


def configure_logs(*, verbose: bool = False, folder: Path | None = None) -> None:
    """Sets up structlog for this process. Latents, keys and pictures are never logged.

    With ``folder``, made if need be, the log is a new file in it that its owner alone can read. Raises OSError.
    """
    file = None if folder is None else _LogFile(folder)
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if file is None and sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            CountRepeats(),
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("debug" if verbose else "info"),
        # Whatever stderr is by then: a test, or a host program, may have put another in its place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr) if file is None else file,
    )


def client_name(address: bytes) -> str:
    """Returns the name that the log uses for the client with this ZeroMQ routing id."""
    return address.hex()[:16]


class CountRepeats:
    """A structlog processor that limits similar lines, those with the same event, level and code.

    In _PERIOD_S it writes at most _ALIKE of one client and _ALIKE_IN_ALL of all. Others are counted, and the next one
    that is written has their number as ``left_out``.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._written: Counter[tuple[object, ...]] = Counter()  # of each kind, and of each kind and client
        self._left_out: Counter[tuple[object, ...]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, logger: object, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        kind = (event["event"], method, event.get("code"))
        with self._lock:
            if self._clock() - self._began > _PERIOD_S:
                self._began = self._clock()
                self._written.clear()
            if not self._may_write(kind, (*kind, event.get("client"))):
                self._count(self._left_out, kind)
                raise structlog.DropEvent
            if left_out := self._left_out.pop(kind, 0):
                event["left_out"] = left_out
        return event

    def _may_write(self, kind: tuple[object, ...], of_client: tuple[object, ...]) -> bool:
        if self._written[kind] >= _ALIKE_IN_ALL or self._written[of_client] >= _ALIKE:
            return False
        self._count(self._written, kind)
        self._count(self._written, of_client)
        return True

    def _count(self, counts: Counter[tuple[object, ...]], key: tuple[object, ...]) -> None:
        if key in counts or len(counts) < _KINDS:
            counts[key] += 1


class _LogFile(RotatingFileHandler):
    """A new file in a folder, as structlog's logger: no other process writes to it, and it stays small."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
        descriptor, path = tempfile.mkstemp(".log", f"backend-{os.getpid()}-", folder)
        os.close(descriptor)
        super().__init__(path, maxBytes=_FILE_BYTES, backupCount=1, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_open_private)

    def msg(self, line: str) -> None:
        self.handle(makeLogRecord({"msg": line}))

    debug = info = warning = error = critical = msg

    def handleError(self, record: LogRecord) -> None:  # noqa: N802 logging's name
        """Drops the record, because a full disk must neither end the service nor fill stderr."""


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _prune(folder: Path) -> None:
    """Removes all but the newest logs of backends that are gone."""
    logs = [(path, _NAME.fullmatch(path.name)) for path in folder.glob("backend-*.log")]
    gone = [path for path, name in logs if name and not psutil.pid_exists(int(name[1]))]
    remove_older(gone, _KEPT - 1, lambda path: path.with_name(f"{path.name}.1"))
