# SPDX-License-Identifier: Apache-2.0
"""Carries out a plan in a thread, step by step; it can be cancelled at any time and resumed later."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from effigy_protocol.files import digest

from .download import CancelledError, fetch
from .folder import Installed
from .plan import InstallError, Plan
from .work import Outcome, Progress, Work

_STEPS = {"environment": 0.0, "PyTorch": 0.05, "backend": 0.75, "check": 0.95}  # and the share at which each begins
_BACKEND_GB = 0.4  # on disk, with what it needs besides PyTorch
_LOOK_S = 1.0  # between two looks at how full the disk is
_FREE = 0.5  # gigabytes that must stay free on the disk
_GIGABYTE = 1e9
_LOG = 4 << 20  # bytes, above which the log starts anew
_PIP_KEPT = {
    *("PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT"),
    *("PIP_CACHE_DIR", "PIP_NO_CACHE_DIR"),
}
_TOLD = 400  # characters of a line that are shown


class Installation(Work):
    """One run of a plan. Finished steps are kept; ``repair`` makes the environment anew."""

    def __init__(self, plan: Plan, *, repair: bool = False) -> None:
        super().__init__("effigy-install", Progress(next(iter(_STEPS)), 0.0))
        self.plan = plan
        self._repair = repair
        self._cancelled = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._pip: dict[str, str] = {}  # what pip's configuration says of the network
        self._lock = threading.Lock()
        self._telling = threading.Lock()

    def cancel(self) -> None:
        """Cancels it without waiting; finished steps stay for the next time."""
        self._cancelled.set()
        with self._lock:
            if self._child is not None:
                _end(self._child)

    def _run(self) -> None:
        try:
            self._work()
            self._report(share=1.0, outcome="done")
        except CancelledError:
            self._report(outcome="cancelled")
        except InstallError as error:
            self._report(outcome="failed", error=str(error))
        except OSError as error:
            self._report(
                outcome="failed", error=f"{error.strerror or error}: {error.filename or self.plan.folder.path}"
            )
        except Exception as error:  # noqa: BLE001 any error must be shown, or the panel would wait for ever
            self._report(outcome="failed", error=f"{type(error).__name__}: {error}")

    def _work(self) -> None:
        plan, folder = self.plan, self.plan.folder
        self._check_room()
        if self._repair:
            self._report(line="the old environment is removed")
            folder.clear()
        there = replace(folder.installed(), complete=False)
        folder.remember(there)
        shutil.rmtree(folder.temporary, ignore_errors=True)  # of a run that was ended
        folder.temporary.mkdir(parents=True)
        with _log(folder.log) as log:
            self._begin("environment")
            if not there.flavour and not self._runs(["-c", "import pip"]):
                self._call(plan.environment(again=folder.env.exists()), log, "the environment cannot be made")
            self._pip = _configured(folder.python, folder.temporary)
            self._begin("PyTorch")
            if there.flavour != plan.flavour:
                with self._share_by_disk("PyTorch", "backend", plan.download_gb + plan.disk_gb):
                    self._call(plan.torch(), log, "PyTorch cannot be installed")
                there = Installed(flavour=plan.flavour)
                folder.remember(there)
            self._begin("backend")
            if there.wheel != plan.wheel.sha256:
                wheel = self._wheel()
                if there.wheel:
                    self._call(plan.removal(), log, "the earlier backend cannot be removed")
                with self._share_by_disk("backend", "check", _BACKEND_GB):
                    self._call(plan.backend(wheel), log, "the backend cannot be installed")
                there = replace(there, wheel=plan.wheel.sha256, version=plan.wheel.version)
                folder.remember(there)
            self._begin("check")
            self._call([str(folder.command), "doctor"], log, "the backend was installed and does not work")
        folder.remember(replace(there, complete=True))
        shutil.rmtree(folder.downloads, ignore_errors=True)  # can be downloaded again

    def _wheel(self) -> Path:
        """Returns the backend's wheel, downloaded if needed, with the right checksum."""
        plan = self.plan
        if plan.file is None:
            address = f"{plan.wheel.address.rstrip('/')}/{plan.wheel.name}"
            path = plan.folder.downloads / plan.wheel.name
            return fetch(address, path, plan.wheel.size, plan.wheel.sha256, self._cancelled, self._downloaded)
        if digest(plan.file) != plan.wheel.sha256:
            raise InstallError(f"{plan.file} is not the backend of this release (its sha256 differs): choose that one")
        return plan.file

    def _downloaded(self, done: int, size: int) -> None:
        self._report(line=f"{done / 2**20:.0f} of {size / 2**20:.0f} MiB")

    def _check_room(self) -> None:
        there = next(parent for parent in (self.plan.folder.path, *self.plan.folder.path.parents) if parent.exists())
        free, wanted = shutil.disk_usage(there).free / _GIGABYTE, self.plan.disk_gb + self.plan.download_gb + _FREE
        if not self.plan.folder.installed().flavour and free < wanted:
            raise InstallError(
                f"{there} has {free:.1f} GB left, and about {wanted:.1f} are needed: choose another folder"
            )

    def _runs(self, arguments: list[str]) -> bool:
        """Returns whether the environment's Python is there and runs with ``arguments``."""
        command = [str(self.plan.folder.python), "-I", *arguments]
        try:
            return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            return False

    def _call(self, command: list[str], log: IO[str], what: str) -> None:
        """Runs ``command``. Raises InstallError that begins with ``what`` and ends with its last output."""
        if self._cancelled.is_set():
            raise CancelledError
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        try:
            child = subprocess.Popen(  # noqa: S603 the plan's
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                encoding="utf-8", errors="replace", env=self._pip | environment(self.plan.folder.temporary),
                start_new_session=sys.platform != "win32", creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
        except OSError as error:
            raise InstallError(f"{what}: {command[0]} cannot be started ({error.strerror})") from None
        with self._lock:
            self._child = child
            if self._cancelled.is_set():
                _end(child)
        said: list[str] = []
        with child:
            for line in child.stdout or ():
                log.write(line)
                said = [*said[-20:], line.strip()]
                self._report(line=line.strip()[:_TOLD])
        with self._lock:
            self._child = None
        if self._cancelled.is_set():
            raise CancelledError
        if child.returncode != 0:
            raise InstallError(f"{what}: {_reason(said)} (all of it is in {self.plan.folder.log})")

    def _begin(self, step: str) -> None:
        if self._cancelled.is_set():
            raise CancelledError
        self._report(step=step, share=_STEPS[step], line="")

    @contextlib.contextmanager
    def _share_by_disk(self, step: str, following: str, gigabytes: float) -> Iterator[None]:
        """Lets the share go from ``step``'s to that of the ``following`` one as the disk takes so much more.

        pip says nothing of how far it is: its bars are for terminals. What other programs write is counted too.
        """
        before, ended = shutil.disk_usage(self.plan.folder.path).free, threading.Event()
        begin, length = _STEPS[step], _STEPS[following] - _STEPS[step]

        def look() -> None:
            while not ended.wait(_LOOK_S):
                with contextlib.suppress(OSError):  # the folder is gone, of which the command tells
                    taken = (before - shutil.disk_usage(self.plan.folder.path).free) / (gigabytes * _GIGABYTE)
                    self._report(share=max(self.progress.share, begin + length * min(taken, 1.0)))

        looking = threading.Thread(target=look, name="effigy-install-disk", daemon=True)
        looking.start()
        try:
            yield
        finally:
            ended.set()
            looking.join()

    def _report(
        self,
        step: str | None = None,
        share: float | None = None,
        line: str | None = None,
        outcome: Outcome = "running",
        error: str = "",
    ) -> None:
        with self._telling:
            now = self.progress
            self.progress = Progress(
                now.step if step is None else step,
                now.share if share is None else share,
                now.line if line is None else line,
                outcome,
                error,
            )


def environment(temporary: Path) -> dict[str, str]:
    """Returns the commands' environment: without Blender's own Python, with the system's proxies if none are set.

    Of the variables that configure pip only those of the network and the cache stay: others say where to install, and
    from where. Temporary files go to the folder ``temporary``, on the disk that was chosen: the system's own may be in
    memory.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _PIP_KEPT or not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))
    }
    for scheme, address in urllib.request.getproxies().items():
        if scheme in ("http", "https") and not any(f"{scheme}_proxy" == name.lower() for name in kept):
            kept[f"{scheme}_proxy"] = address
    return (
        kept
        | {"PYTHONUNBUFFERED": "1", "PIP_CONFIG_FILE": os.devnull}
        | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    )


def _configured(python: Path, temporary: Path) -> dict[str, str]:
    """Returns what pip's configuration files say of the network, as environment variables.

    pip itself then reads none of these files: no option undoes a ``target`` that stands in one. Of files that pip
    cannot read, nothing is returned.
    """
    command = [str(python), "-I", "-m", "pip", "config", "list"]
    own = {name: os.environ[name] for name in ("PIP_CONFIG_FILE",) if name in os.environ}
    env = {name: value for name, value in environment(temporary).items() if not name.startswith("PIP_")} | own
    try:
        said = subprocess.run(command, capture_output=True, timeout=120, check=True, env=env).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return {}
    found = {}
    for line in said.decode(errors="replace").splitlines():  # global's before install's, which count more
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        name = f"PIP_{option.upper().replace('-', '_')}"
        if section in ("global", "install") and name in _PIP_KEPT:
            found[name] = str(ast.literal_eval(value))
    return found


def _reason(said: list[str]) -> str:
    """Returns the most informative of a command's last lines."""
    errors = [line for line in said if line.lower().startswith(("error", "effigy: error"))]
    return (errors or [line for line in said if line] or ["it said nothing"])[-1][:_TOLD]


def _end(child: subprocess.Popen[str]) -> None:
    """Ends a command and the processes that it started."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            child.terminate()
        else:
            os.killpg(child.pid, signal.SIGTERM)


@contextlib.contextmanager
def _log(path: Path) -> Iterator[IO[str]]:
    """Opens the log to append to it."""
    mode = "w" if path.is_file() and path.stat().st_size > _LOG else "a"
    with path.open(mode, encoding="utf-8") as file:
        yield file
