# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on a bad day: the backend is killed or stopped, the disk fills, strangers send garbage."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

_STRANGERS = 150  # connections at a time
_LONGEST_STOP_S = 14.0  # the add-on ends a backend that is silent for ten seconds
_PAUSE_S = (0.5, 6.0)  # between troubles: most of the time something works
_ZMTP = b"\xff" + 8 * b"\x00" + b"\x7f\x03\x00NULL" + 48 * b"\x00"  # a greeting without keys (ZMTP 3.0)


class Disk:
    """A small disk: a tmpfs where this user may mount one, else a folder in which files can be forbidden to grow."""

    def __init__(self, folder: Path, megabytes: int = 24) -> None:
        self.folder, self._ballast = folder, folder / "ballast"
        folder.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "effigy-chaos", str(folder)]
        self.is_mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def fill(self, process: psutil.Process, seconds: float) -> None:
        """Leaves no room on the disk for ``seconds``."""
        if not self.is_mounted:
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1000, hard))
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
            return
        with contextlib.suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))  # until there is no space
        time.sleep(seconds)
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)  # noqa: S607


class Troubles(threading.Thread):
    """Troubles a Blender ``process`` and its backend until ``close``; ``counts`` says how often each has struck."""

    def __init__(self, process: psutil.Process, disk: Disk, seed: int, counts: Counter[str]) -> None:
        super().__init__(name="troubles", daemon=True)
        self._process, self._disk, self._random, self._over = process, disk, random.Random(seed), threading.Event()
        self.counts = counts
        self._kinds: dict[str, Callable[[psutil.Process], None]] = {
            "killed": self._kill, "stopped": self._stop_and_go, "disk full": self._fill, "flooded": self._flood,
        }  # fmt: skip

    def run(self) -> None:
        while not self._over.wait(self._random.uniform(*_PAUSE_S)):
            name = min(self._kinds, key=lambda kind: (self.counts[kind], self._random.random()))
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if (backend := self._backend()) is not None:
                    self._kinds[name](backend)
                    self.counts[name] += 1

    def close(self) -> None:
        self._over.set()
        self.join()

    def _backend(self) -> psutil.Process | None:
        """Returns Blender's backend, if one runs and listens."""
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "serve" in child.cmdline() and _port(child) is not None:
                    return child
        return None

    def _kill(self, backend: psutil.Process) -> None:
        backend.kill()

    def _stop_and_go(self, backend: psutil.Process) -> None:
        backend.send_signal(signal.SIGSTOP)
        self._over.wait(self._random.choice((0.5, 3.0, _LONGEST_STOP_S)))
        backend.send_signal(signal.SIGCONT)

    def _fill(self, backend: psutil.Process) -> None:
        self._disk.fill(self._process, self._random.uniform(0.5, 4.0))

    def _flood(self, backend: psutil.Process) -> None:
        port, strangers = _port(backend), []
        for number in range(_STRANGERS):
            stranger = socket.socket()
            strangers.append(stranger)
            stranger.setblocking(False)
            if stranger.connect_ex(("127.0.0.1", port or 0)) not in (0, errno.EINPROGRESS):
                break
            with contextlib.suppress(OSError):
                stranger.send(_ZMTP if number % 2 else self._random.randbytes(1 << 14))
        self._over.wait(self._random.uniform(0.2, 2.0))
        for stranger in strangers:
            with contextlib.suppress(OSError):
                stranger.send(self._random.randbytes(1 << 12))
            stranger.close()


def _port(process: psutil.Process) -> int | None:
    """Returns the port at which a process listens, or None."""
    there = process.net_connections(kind="tcp4")
    return next((each.laddr.port for each in there if each.status == psutil.CONN_LISTEN), None)
