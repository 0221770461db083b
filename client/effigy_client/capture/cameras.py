# SPDX-License-Identifier: Apache-2.0
"""Lists this computer's cameras, by ``effigy capture --cameras``, without switching one on."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading

from ..provision import BackendError, last_words, spawn, split_command

_PATIENCE_S = 60.0  # a busy machine takes many seconds to start the backend's command


class CameraList:
    """Looks for cameras in a thread. ``found`` is None until it has ended; ``problem`` says why none can be listed."""

    def __init__(self, command: str) -> None:
        self.found: tuple[tuple[int, str], ...] | None = None  # number and name
        self.problem = ""
        self._command = command
        self._thread = threading.Thread(target=self._run, name="effigy-cameras", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Waits for the thread, at most ``seconds``; for tests."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self.found = self._list()
        except (BackendError, ValueError) as error:
            self.problem, self.found = str(error), ()

    def _list(self) -> tuple[tuple[int, str], ...]:
        """Runs the command. Raises BackendError, or ValueError that says why cameras cannot be listed."""
        process = spawn([*split_command(self._command), "capture", "--cameras"])
        try:
            out, errors = process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise ValueError("the backend does not say which cameras there are") from None
        if process.returncode:
            raise ValueError(last_words(errors.decode("utf-8", "replace").splitlines()))
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return tuple((int(camera["number"]), str(camera["name"])) for camera in json.loads(out))
        raise ValueError("the backend does not say which cameras there are: is it of this release?")
