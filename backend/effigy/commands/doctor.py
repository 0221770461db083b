# SPDX-License-Identifier: Apache-2.0
"""``effigy doctor``: reports what works on this machine, and how to repair what does not."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import zmq

from effigy_protocol import PROTOCOL_VERSION
from effigy_protocol.connection import ConnectionFileError, OtherVersionError, read_connection
from effigy_protocol.version import VERSION

from ..service.endpoint import EndpointError, bind, default_connection_file

_ENOUGH_MEMORY = 1.5e9  # bytes free: the default model and torch take about one
_GUI_NAMES = ("blender", "blender.exe", "Blender")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``mend`` says what to do if it is not ``ok``."""

    name: str
    ok: bool
    detail: str
    mend: str = ""


def examine(model: Path, port: int = 0) -> list[Finding]:
    """Checks everything that a backend with this model needs on this machine; returns a finding for each."""
    checks: list[Callable[[], Finding]] = [
        _python,
        _torch,
        _device,
        _memory,
        lambda: _model(model),
        _lpips,
        lambda: _port(port),
        _running,
        _blender,
    ]
    return [check() for check in checks]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Effigy", True, f"{VERSION}, protocol {PROTOCOL_VERSION}, Python {version}")


def _torch() -> Finding:
    mend = "install torch again: pip install --force-reinstall torch"
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", False, f"cannot be imported ({error})", mend)
    started = time.monotonic()
    total = float((torch.ones(64, 64) @ torch.ones(64, 64)).sum())
    milliseconds = 1e3 * (time.monotonic() - started)
    return Finding(
        "torch",
        total == 64**3,
        f"{torch.__version__}, {torch.get_num_threads()} threads, computes ({milliseconds:.0f} ms)",
        mend,
    )


def _device() -> Finding:
    try:
        import torch
    except (ImportError, OSError):
        return Finding("device", False, "unknown without torch", "install torch first")
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Finding("device", True, f"CUDA: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    return Finding("device", True, "CPU (no CUDA device that this torch can use)")


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    return Finding(
        "memory",
        free > _ENOUGH_MEMORY,
        f"{free / 2**30:.1f} GiB free",
        "close other programs: a backend takes about 1 GiB",
    )


def _model(path: Path) -> Finding:
    try:
        from ..faces import BundleError, describe_looks, landmarks_note, load_face_model
    except (ImportError, OSError) as error:
        return Finding("model", False, f"cannot be tried ({error})", "install torch first")
    started = time.monotonic()
    try:
        model = load_face_model(path)
        identity = model.open_seed(0)
        model.paint(identity.ws[None])
        holds = describe_looks(path)
        if note := landmarks_note(path):
            return Finding("model", False, note, "fit it again: effigy fit --help")
    except BundleError as error:
        return Finding("model", False, str(error), "use --model default, or fit a model: effigy fit --help")
    height, width = model.generator.resolution
    seconds = time.monotonic() - started
    return Finding(
        "model",
        True,
        f"{model.name}, {width}×{height}, {len(model.controls)} controls: loads and paints in {seconds:.1f} s; "
        f"edits hold {holds}",
    )


def _lpips() -> Finding:
    try:
        from ..recognition import IdentityFileError, lpips_folder, users_lpips
    except (ImportError, OSError) as error:
        return Finding("LPIPS", False, f"cannot be tried ({error})", "install torch first")
    try:
        found = users_lpips()
    except IdentityFileError as error:
        detail, _, mend = str(error).rpartition(": ")  # a reason may have colons, too
        return Finding("LPIPS", False, detail, mend)
    said = f"no files of it in {lpips_folder()}, which photographs do not need" if found is None else found.fingerprint
    return Finding("LPIPS", True, said)


def _port(port: int) -> Finding:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    try:
        return Finding("port", True, f"can listen on {bind(socket, '127.0.0.1', port)}")
    except EndpointError as error:
        return Finding("port", False, error.what, error.hint)
    finally:
        socket.close(linger=0)
        context.term()


def _running() -> Finding:
    path = default_connection_file()
    try:
        connection = read_connection(path)
    except OtherVersionError as error:
        return Finding("backend", False, str(error), "stop that backend, and start the one that goes with the add-on")
    except ConnectionFileError:
        return Finding("backend", True, "none started by hand is running (the add-on starts its own)")
    if connection.machine != platform.node():
        return Finding("backend", True, f"{path} is of a backend on {connection.machine}")
    if psutil.pid_exists(connection.pid):
        return Finding("backend", True, f"running as process {connection.pid} on {connection.endpoint}")
    return Finding("backend", False, f"{path} is left from a backend that is gone", f"remove it: rm {path}")


def _blender() -> Finding:
    command = next((found for name in _GUI_NAMES if (found := shutil.which(name))), None)
    if command is None:
        return Finding("Blender", True, "not on the PATH; install the add-on's zip from inside Blender (4.2 or newer)")
    try:
        shown = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
        version = shown.stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        return Finding("Blender", False, f"{command} does not run ({error})", "install Blender 4.2 or newer")
    return Finding("Blender", True, f"{version} at {command}")
