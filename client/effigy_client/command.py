# SPDX-License-Identifier: Apache-2.0
"""Runs a command of the backend in a process, without blocking the caller."""

from __future__ import annotations

import tempfile

from .provision import end_process, last_words, spawn, split_command

_END_S = 2.0  # to leave when asked; then it is killed
_TAIL = 16384  # bytes of what it printed that are looked through


class Command:
    """A running command of the backend, which its owner polls, and ends if need be."""

    def __init__(self, command: str, *arguments: str) -> None:
        """``command``: the backend's program, as in the preferences. Raises BackendError where there is none."""
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 open as long as it runs
        self._asked_to_end = False
        try:
            self._process = spawn([*split_command(command), *arguments], self._printed)
        except BaseException:
            self._printed.close()
            raise

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def problem(self) -> str:
        """Why it failed, for users; "" if it runs, is done, or was asked to end."""
        if self.is_running or self._asked_to_end or self._process.returncode == 0:
            return ""
        self._printed.seek(0, 2)
        self._printed.seek(max(0, self._printed.tell() - _TAIL))
        said = last_words(self._printed.read().decode("utf-8", "replace").splitlines())
        return said or f"the command ended with code {self._process.returncode}"

    def end(self) -> None:
        """Ends the process within seconds."""
        if self.is_running:
            self._asked_to_end = True
            end_process(self._process, _END_S)
        self._printed.close()

    def wait(self) -> None:
        """Waits until it has ended; for scripts."""
        self._process.wait()
