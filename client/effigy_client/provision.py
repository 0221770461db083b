# SPDX-License-Identifier: Apache-2.0
"""Provides a backend: a process that is started here, or one that runs already.

Both implement ``Provision``; a backend on a farm or behind ssh could, too.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Protocol

from effigy_protocol.connection import (
    Connection,
    ConnectionFileError,
    OtherVersionError,
    read_connection,
    remove_connection,
)
from effigy_protocol.files import is_file, is_folder, remove_older

from .errors import UPDATE, GoneError
from .processes import is_alive

_STOP_S = 5.0  # to finish the picture being painted, before it is killed
_KEPT = 5  # files with what ended backends printed
_NAME = re.compile(r"printed-(\d{1,9})-\w+\.txt")  # of such a file, with the process that started the backend
_TAIL = 8192  # bytes that are read from its end
_ERROR = "effigy: error: "  # how the line begins in which the command line says why it ended
_FRAME = " \t\r\n|│┃║"  # characters around an error in a box, as other versions and programs draw it


class BackendError(Exception):
    """The backend could not be started; the message says what to do."""


class NoProgramError(BackendError):
    """The command of a backend names no program that is there."""

    def __init__(self, command: str) -> None:
        super().__init__(
            f"there is no backend command {command!r}: install the backend, "
            "or give the path of its program (for instance /home/me/effigy-env/bin/effigy)"
        )
        self.command = command


class Provision(Protocol):
    """A backend, from its start to its end. A link calls ``find`` and ``fell_silent`` on its own thread."""

    patience: float
    """Seconds that it may take until it is ready."""

    def find(self) -> Connection:
        """Returns the connection. Raises ConnectionFileError if it is not there yet, GoneError if it has ended."""

    def fell_silent(self) -> None:
        """Notes that it was ready and does not answer any more."""

    @property
    def has_died(self) -> bool:
        """Whether it has ended and can be replaced by a new one."""

    @property
    def why_it_ended(self) -> str:
        """The reason, for users; "" if it has not ended."""

    def stop(self) -> None:
        """Begins to stop it; returns at once. Call ``reap`` until that returns True."""

    def reap(self) -> bool:
        """Returns True once it is gone; at once if somebody else started it."""

    def stop_and_wait(self) -> None:
        """Stops it and waits, a few seconds at most; for the end of this process."""


class RunningBackend:
    """A backend that somebody else starts and stops, found by its connection file."""

    patience = 15.0

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self) -> Connection:
        return read_living(self._path)

    def fell_silent(self) -> None:
        pass

    @property
    def has_died(self) -> bool:
        return False

    @property
    def why_it_ended(self) -> str:
        return ""

    def stop(self) -> None:
        pass

    def reap(self) -> bool:
        return True

    def stop_and_wait(self) -> None:
        pass


def read_living(path: Path) -> Connection:
    """Reads a connection file. Raises ConnectionFileError, or GoneError if the process that wrote it has ended."""
    try:
        connection = read_connection(path)
    except OtherVersionError as error:
        raise GoneError(str(error), UPDATE) from None
    if connection.machine == platform.node() and not is_alive(connection.pid):
        raise GoneError(f"the backend that wrote {path} (process {connection.pid}) has ended")
    return connection


class LocalBackend:
    """A backend that this process starts and stops. It also ends by itself when this process has ended."""

    # To start and load its model, which takes minutes on a busy machine. A backend that died or fell silent is noticed
    # at once, so this only limits the wait for one that hangs.
    patience = 300.0

    def __init__(self, command: str, folder: Path, model: str = "") -> None:
        """Starts ``command``, for instance "effigy" or a path to it with arguments; returns at once.

        ``folder`` gets its log, its output and its connection file, each with a unique name and readable by its owner
        alone. ``model`` is the bundle to serve, "" for the embedded default. Raises BackendError.
        """
        arguments = split_command(command)
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _prune(folder)
            descriptor, printed = tempfile.mkstemp(".txt", f"printed-{os.getpid()}-", folder)
        except OSError as error:
            raise BackendError(
                f"the backend cannot be started: {folder} cannot be written ({error.strerror})"
            ) from None
        self._printed = Path(printed)
        self.connection_file = self._printed.with_suffix(".json")
        serve = ["serve", "--connection-file", str(self.connection_file), "--parent-pid", str(os.getpid())]
        if model:
            serve += ["--model", model]
        self._stopping_since: float | None = None
        self._killed_for = ""
        with os.fdopen(descriptor, "wb") as file:
            self._process = spawn([*arguments, *serve], file, folder)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def has_died(self) -> bool:
        return self.exit_code is not None

    @property
    def why_it_ended(self) -> str:
        return self.last_words() or f"its log is in {self.folder}"

    def find(self) -> Connection:
        if self.has_died:
            raise GoneError(f"the backend ended with code {self.exit_code}: {self.why_it_ended}")
        if not self.connection_file.is_file():
            raise ConnectionFileError(f"the backend is starting; its log is in {self.folder}")
        return read_living(self.connection_file)

    def fell_silent(self) -> None:
        self.kill("it answered nothing any more, and was ended")  # so that it can be started again

    def kill(self, why: str) -> None:
        """Kills a backend that hangs; ``why`` becomes the reason. May be called from any thread."""
        self._killed_for = why
        self._process.kill()

    def stop(self) -> None:
        """Asks it to end; returns at once. Call ``reap`` until that returns True."""
        self._stopping_since = time.monotonic()
        with contextlib.suppress(OSError):
            self._process.terminate()

    def reap(self) -> bool:
        """Returns True when it is gone; kills it if it does not end in time after ``stop``."""
        if self._process.poll() is not None:
            remove_connection(self.connection_file, self.pid)
            return True
        if self._stopping_since is not None and time.monotonic() - self._stopping_since > _STOP_S:
            self._process.kill()
        return False

    def stop_and_wait(self) -> None:
        """Stops it and waits, a few seconds at most; for the end of this process."""
        end_process(self._process, _STOP_S)
        self.reap()

    def last_words(self) -> str:
        """Returns why it ended, for users: the error that it printed, or the last line with text, or ""."""
        if self._killed_for:
            return self._killed_for
        try:
            with self._printed.open("rb") as file:
                file.seek(max(0, self._printed.stat().st_size - _TAIL))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return last_words(lines)


def last_words(lines: list[str]) -> str:
    """Returns from a program's output the error that it ended with, or the last line with text, or ""."""
    said = [words for line in lines if any(map(str.isalnum, words := line.strip(_FRAME)))]
    errors = [line.removeprefix(_ERROR) for line in said if line.startswith(_ERROR)]
    return next(reversed(errors or said), "")


def _prune(folder: Path) -> None:
    """Removes the output and connection files of backends whose client has ended, but for the newest few."""
    printed = [(path, _NAME.fullmatch(path.name)) for path in folder.glob("printed-*.txt")]
    gone = [path for path, name in printed if name and not is_alive(int(name[1]))]
    remove_older(gone, _KEPT - 1, lambda path: path.with_suffix(".json"))


def split_command(command: str) -> list[str]:
    """Splits ``command`` into its program and arguments. Raises BackendError if there is no such program."""
    command = command.strip()
    if command.startswith("~"):
        with contextlib.suppress(RuntimeError):  # nobody is called so
            command = str(Path(command).expanduser())
    text = command.strip('"')
    try:
        arguments = [text] if is_file(Path(text)) else shlex.split(command, posix=os.name == "posix")
    except ValueError:  # an open quote
        arguments = []
    arguments = [argument.strip('"') for argument in arguments]
    program = shutil.which(arguments[0]) if arguments else None
    if program is None and text and is_folder(Path(text)):
        raise BackendError(f"the backend command {command!r} is a folder: give the program effigy in it")
    if program is None and arguments and is_file(Path(arguments[0])):
        raise BackendError(f"{arguments[0]} is a file that may not be run: choose the program, or permit it (chmod +x)")
    if program is None:
        raise NoProgramError(command)
    return [program, *arguments[1:]]


def end_process(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Asks a process to end, and kills it if it has not after ``seconds``. Returns when it is gone."""
    with contextlib.suppress(OSError):
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    if process.poll() is None:
        process.kill()
        process.wait()


def spawn(arguments: list[str], printed: IO[bytes] | None = None, logs: Path | None = None) -> subprocess.Popen[bytes]:
    """Starts a command of the backend. Its output goes to the file ``printed``, or into pipes for None.

    ``logs`` is a folder for its log. Raises BackendError.
    """
    # The host's own Python settings must not leak into another interpreter.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    if logs is not None:
        # Not a command-line option, because a backend of an earlier version would end instead of telling its version.
        environment["EFFIGY_LOG_FOLDER"] = str(logs)
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    out = subprocess.PIPE if printed is None else printed
    into = subprocess.PIPE if printed is None else subprocess.DEVNULL
    try:
        return subprocess.Popen(  # noqa: S603 the user's own command
            arguments, stdin=into, stdout=out, stderr=out, env=environment, creationflags=flags
        )
    except OSError as error:
        raise BackendError(f"the backend {arguments[0]} cannot be started: {error.strerror}") from None
