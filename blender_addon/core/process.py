# SPDX-License-Identifier: GPL-3.0-or-later
"""The local backend as a child process."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import IO

from ..protocol.connection import remove_connection

_STOP_S = 5.0  # for the picture being painted; then it is killed
_LOGS = 5  # kept
_LOG_TAIL = 8192  # bytes read from the end of the log


class BackendError(Exception):
    """The backend could not be started; the message says what to do."""


class LocalBackend:
    """A backend that this process started and will stop. It also leaves by itself when this process is gone."""

    def __init__(self, command: str, folder: Path, model: str = "") -> None:
        """Starts ``command`` (for instance "effigy", or a path to it with arguments); returns at once.

        ``folder`` takes the connection file and the log; ``model`` is the bundle to serve, empty for the
        embedded default. Raises BackendError.
        """
        arguments = split_command(command)
        folder.mkdir(parents=True, exist_ok=True)
        self.connection_file = folder / f"connection-{os.getpid()}.json"
        self.log_file = folder / f"backend-{os.getpid()}.log"
        self.connection_file.unlink(missing_ok=True)
        _prune(folder)
        serve = ["serve", "--connection-file", str(self.connection_file), "--parent-pid", str(os.getpid())]
        if model:
            serve += ["--model", model]
        self._stopping_since: float | None = None
        with self.log_file.open("wb") as log:
            self._process = _spawn([*arguments, *serve], log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Asks it to leave; returns at once. Call ``reap`` until it is gone."""
        self._stopping_since = time.monotonic()
        with contextlib.suppress(OSError):
            self._process.terminate()

    def reap(self) -> bool:
        """True when it is gone; kills it when it does not leave in time after ``stop``."""
        if self._process.poll() is not None:
            remove_connection(self.connection_file, self.pid)
            return True
        if self._stopping_since is not None and time.monotonic() - self._stopping_since > _STOP_S:
            self._process.kill()
        return False

    def stop_and_wait(self) -> None:
        """For the end of Blender: stops it and waits, a few seconds at most."""
        self.stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.reap()

    def last_words(self) -> str:
        """The last error in its log, or the last line that is no log entry, for the panel; empty if there is none."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, self.log_file.stat().st_size - _LOG_TAIL))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        last = next((line.strip() for line in reversed(lines) if line.strip() and not line.startswith("{")), "")
        return next((words for line in reversed(lines) if (words := _error_in(line))), last)


def _prune(folder: Path) -> None:
    """Removes all but the newest logs of backends that earlier Blenders started."""
    for old in sorted(folder.glob("backend-*.log"), key=lambda log: log.stat().st_mtime)[:-_LOGS]:
        with contextlib.suppress(OSError):  # Windows keeps a log that is still written
            old.unlink()


def split_command(command: str) -> list[str]:
    """The program and arguments of ``command``; raises BackendError when there is no such program."""
    command = command.strip()
    if command.startswith("~"):
        command = str(Path(command).expanduser())
    text = command.strip('"')
    try:
        arguments = [text] if Path(text).is_file() else shlex.split(command, posix=os.name == "posix")
    except ValueError:  # an open quote
        arguments = []
    arguments = [argument.strip('"') for argument in arguments]
    program = shutil.which(arguments[0]) if arguments else None
    if program is None and text and Path(text).is_dir():
        raise BackendError(f"the backend command {command!r} is a folder: give the program effigy in it")
    if program is None:
        raise BackendError(
            f"there is no backend command {command!r}: install Effigy's backend, "
            "then set its command in the add-on's preferences (for instance /home/me/effigy-env/bin/effigy)"
        )
    return [program, *arguments[1:]]


def _spawn(arguments: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    # Blender's own Python settings must not leak into another interpreter.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    try:
        return subprocess.Popen(  # noqa: S603 the user's own command
            arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, creationflags=flags
        )
    except OSError as error:
        raise BackendError(f"the backend {arguments[0]} cannot be started: {error.strerror}") from None


def _error_in(line: str) -> str:
    """The message of an error line: a JSON log entry, or what the command line printed."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line.removeprefix("effigy: error: ") if line.startswith("effigy: error: ") else ""
    if isinstance(entry, dict) and entry.get("level") in ("error", "critical"):
        return str(entry.get("error") or entry.get("event") or "")
    return ""
