# SPDX-License-Identifier: Apache-2.0
"""Plans an installation before anything is done: which Python, which PyTorch, which wheel, and how large it is."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from effigy_protocol.files import digest, read_json

from .folder import Folder

Flavour = Literal["cuda", "cpu", "mac"]  # of PyTorch

_PYTHON = (3, 11)  # the oldest that the backend runs on
_TORCH = "torch>=2.6,<3"
# What is downloaded for PyTorch and all the rest, and what it takes on disk: gigabytes, of PyTorch 2.9 on Linux.
_SIZES: dict[Flavour, tuple[float, float]] = {"cuda": (3.0, 7.0), "cpu": (0.4, 1.6), "mac": (0.3, 1.2)}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[\w.+-]{1,200}\.whl")


class InstallError(Exception):
    """The backend cannot be installed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where packages come from."""

    packages: str = "https://pypi.org/simple"
    cuda: str = "https://download.pytorch.org/whl/cu128"
    cpu: str = "https://download.pytorch.org/whl/cpu"

    def torch(self, flavour: Flavour) -> str:
        """Returns the package index with PyTorch of this flavour."""
        return {"cuda": self.cuda, "cpu": self.cpu, "mac": self.packages}[flavour]


@dataclass(frozen=True, slots=True)
class Wheel:
    """The backend's wheel that belongs to a client, such as the add-on."""

    name: str
    version: str
    sha256: str
    size: int  # bytes
    address: str = ""  # of the web folder with the wheel; "" if there is none


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done."""

    folder: Folder
    wheel: Wheel
    flavour: Flavour
    python: Path  # that the environment is made with
    uv: Path | None  # the program uv, which is used instead of pip if there is one
    file: Path | None  # the wheel on this machine; None: it is downloaded
    offline: Path | None  # a folder with all wheels; None: they are downloaded
    addresses: Addresses

    @property
    def needs_network(self) -> bool:
        return self.offline is None

    @property
    def download_gb(self) -> float:
        """The size of the download in GB, roughly; 0 if offline."""
        return _SIZES[self.flavour][0] if self.needs_network else 0.0

    @property
    def disk_gb(self) -> float:
        """The size on disk in GB, roughly."""
        return _SIZES[self.flavour][1]

    def environment(self, *, again: bool = False) -> list[str]:
        """Returns the command that makes the environment; ``again`` replaces one that is there."""
        if self.uv is not None:
            return [
                str(self.uv),
                "venv",
                "--seed",
                *(["--clear"] if again else []),
                "--python",
                str(self.python),
                str(self.folder.env),
            ]
        return [str(self.python), "-I", "-m", "venv", *(["--clear"] if again else []), str(self.folder.env)]

    def torch(self) -> list[str]:
        """Returns the command that installs PyTorch."""
        return [*self._install(self.addresses.torch(self.flavour)), _TORCH]

    def backend(self, wheel: Path) -> list[str]:
        """Returns the command that installs the backend and its other dependencies."""
        # As an address: in a path pip takes what follows a semicolon for conditions.
        return [*self._install(self.addresses.packages), wheel.absolute().as_uri()]

    def removal(self) -> list[str]:
        """Returns the command that removes the backend: pip would not replace it by another wheel of its version."""
        if self.uv is not None:
            return [str(self.uv), "pip", "uninstall", "--python", str(self.folder.python), "effigy-faces"]
        return [str(self.folder.python), "-I", "-m", "pip", "uninstall", "--yes", "effigy-faces"]

    def _install(self, index: str) -> list[str]:
        source = ["--index-url", index] if self.offline is None else ["--no-index", "--find-links", str(self.offline)]
        if self.uv is not None:
            return [str(self.uv), "pip", "install", "--python", str(self.folder.python), *source]
        pip = [str(self.folder.python), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
        # Wheels alone: what must be compiled fails on an artist's machine, and runs code of strangers.
        # Into this environment, even if pip is configured to install for the user.
        return [*pip, "--no-user", "--only-binary=:all:", "--retries", "5", *source]


def make_plan(
    folder: Folder,
    wheel: Wheel | None,
    *,
    flavour: Flavour | None = None,
    file: Path | None = None,
    offline: Path | None = None,
    python: Path | None = None,
    addresses: Addresses = Addresses(),
    which: Callable[[str], str | None] = shutil.which,
) -> Plan:
    """Makes the plan for this machine. ``python`` is the one that runs this by default. Raises InstallError."""
    if sys.version_info < _PYTHON:
        raise InstallError(
            f"the backend needs Python {_PYTHON[0]}.{_PYTHON[1]}, and this is {platform.python_version()}"
        )
    if not folder.is_free:
        raise InstallError(f"{folder.path} holds other things, or cannot be read: choose an empty folder")
    chosen = wheel_of(file) if wheel is None and file is not None else wheel
    if chosen is None:
        raise InstallError("it is not known here which backend belongs to this release: choose the backend's .whl file")
    for place in (offline, file.parent if file else None):
        if file is None and place is not None and (place / chosen.name).is_file():
            file = place / chosen.name
    if file is None and (offline is not None or not chosen.address):
        where = offline or "the net"
        raise InstallError(f"{where} has no {chosen.name}: choose that file, from the same release")
    uv = which("uv")
    found = python or Path(sys.executable)
    return Plan(
        folder, chosen, flavour or find_flavour(which), found, Path(uv) if uv else None, file, offline, addresses
    )


def find_flavour(which: Callable[[str], str | None] = shutil.which) -> Flavour:
    """Returns the flavour of PyTorch for this machine: CUDA if NVIDIA's driver lists a card."""
    if sys.platform == "darwin":
        return "mac"
    tool = which("nvidia-smi")
    if tool is None:
        return "cpu"
    try:
        ran = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "cuda" if ran.returncode == 0 and "GPU" in ran.stdout else "cpu"


def read_wheel(path: Path) -> Wheel | None:
    """Reads ``backend.json``, in which a client names its backend; None if it is missing or damaged."""
    try:
        read = read_json(path)
        wheel = Wheel(*(read[name] for name in ("name", "version", "sha256", "size", "address")))
        fine = _NAME.fullmatch(wheel.name) and _SHA256.fullmatch(wheel.sha256) and 0 < wheel.size < 1 << 32
        return wheel if fine else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def wheel_of(file: Path) -> Wheel:
    """Returns the wheel in a file that the user chose, whose checksum cannot be checked. Raises InstallError."""
    parts = file.name.split("-")
    if not _NAME.fullmatch(file.name) or parts[0] != "effigy_faces" or len(parts) < 5:
        raise InstallError(
            f"{file.name} is not the backend: its file is called effigy_faces-<version>-py3-none-any.whl"
        )
    try:
        return Wheel(file.name, parts[1], digest(file), file.stat().st_size)
    except OSError as error:
        raise InstallError(f"{file} cannot be read ({error.strerror})") from None


def carry_over(plan: Plan) -> str:
    """Explains how to install without a network: what to download elsewhere, and what to choose here."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    address = plan.wheel.address.rstrip("/")
    # Named again below, else pip takes the package index's PyTorch where that is newer: gigabytes for another machine.
    torch = "(Get-Item effigy-wheels/torch-*.whl)" if sys.platform == "win32" else "effigy-wheels/torch-*.whl"
    lines = [
        f"On a machine with a network, of the same kind ({platform.system()}, {platform.machine()}, Python {version}):",
        f"1. Download {plan.wheel.name}"
        + (f" from {address}/{plan.wheel.name}" if address else " of this release")
        + ".",
        f"2. python{version} -m pip download --only-binary=:all: --dest effigy-wheels "
        f"--index-url {plan.addresses.torch(plan.flavour)} '{_TORCH}'",
        f"3. python{version} -m pip download --only-binary=:all: --dest effigy-wheels --find-links effigy-wheels "
        f"--index-url {plan.addresses.packages} ./{plan.wheel.name} {torch}",
        f"Carry the folder effigy-wheels, about {_SIZES[plan.flavour][0]:.1f} GB, with {plan.wheel.name} in it, to",
        "this machine, and choose it here as Folder of Wheels.",
    ]
    return "\n".join(lines)
