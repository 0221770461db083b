# SPDX-License-Identifier: Apache-2.0
"""A generator as one compiled function on the CPU: weights frozen in, elementwise work fused.

A child process compiles (half a minute, at the lowest priority) and leaves a package in a cache folder of the
user's own; loading one takes a fraction of a second. Compiling in the painting process would hold Python's lock
and make the preview stutter. Without a C++ compiler there is no package, and nothing else changes.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import structlog
import torch
from torch import Tensor, nn

from ..load import DTYPES, load_generator
from ..networks.operations import has_matrix_units

log = structlog.get_logger()

_KEPT = 6  # packages, of about the size of the weights each
_NICE = 19
_PATIENCE_S = 900.0
_PRECOMPILED_HEADERS = ("cpp_cache_precompile_headers", "aot_inductor.precompile_headers")


class _Painter(nn.Module):
    """What is compiled: w+ [N, num_ws, w_dim] → picture [N, 3, H, W], N always the same."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, ws: Tensor) -> Tensor:
        picture: Tensor = self.generator.synthesize(ws)
        return picture


def compile_generator(
    generator: Path, dtype: torch.dtype, package: Path, batch: int = 1, sha256: str | None = None
) -> None:
    """Compiles the generator in the file ``generator`` for this CPU into ``package``, which is written atomically.

    The compiled function paints exactly ``batch`` pictures at a time. Raises GeneratorFileError, also where the file no
    longer has the checksum ``sha256`` that it was read with before.
    """
    network = load_generator(generator, "cpu", dtype, sha256=sha256)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler about its own parts
        ws = network.map(torch.zeros(batch, network.z_dim))
        network.synthesize(ws)  # what layers make of their weights at first use, they must not make again
        program = torch.export.export(_Painter(network), (ws,))
        package.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = package.with_name(f"{os.getpid()}-part.pt2")
        # Freezing lays the weights out as the convolutions want them, once: 6 % of the time at 256. In bfloat16 the
        # convolutions of plain weights are the faster ones, by an eighth at 1024.
        # Threads are counted when it runs: this process has one, and would write loops for one.
        options: dict[str, Any] = {"freezing": dtype == torch.float32, "cpp.dynamic_threads": True}
        # Each header would be compiled for one file: half of all the time. PyTorch 2.6 has no such options yet.
        known = torch._inductor.config.get_config_copy()
        options |= {name: False for name in _PRECOMPILED_HEADERS if name in known}
        options |= network.compiler_options
        torch._inductor.aoti_compile_and_package(program, package_path=str(temporary), inductor_configs=options)
    temporary.replace(package)


def load_compiled(package: Path) -> Callable[[Tensor], Tensor]:
    """Loads the painting function in ``package``: native code that ``compile_generator`` made on this machine."""
    # What torch._inductor.aoti_load_package wraps: importing that takes seconds, in which no preview is painted.
    loader = torch._C._aoti.AOTIModelPackageLoader(str(package), "model", False, 1, -1)
    return lambda ws: loader.run([ws])[0]


def cache_folder() -> Path:
    """Returns the folder of compiled generators; ``EFFIGY_CACHE`` names another one."""
    return Path(os.environ.get("EFFIGY_CACHE") or platformdirs.user_cache_dir("effigy")) / "compiled"


def package_path(sha256: str, dtype: torch.dtype, folder: Path) -> Path:
    """Returns the path of the package of the generator whose file has this checksum. Its name includes a hash of
    everything that the code in it depends on.
    """
    digest = hashlib.sha256(sha256.encode())
    machine = f"{platform.node()} {torch.backends.cpu.get_cpu_capability()} {has_matrix_units()}"
    digest.update(f"{torch.__version__} {machine} {dtype} {_sources()}".encode())
    return folder / f"{digest.hexdigest()[:24]}.pt2"


def _sources() -> str:
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_private(folder: Path) -> bool:
    """Returns whether nobody else can put code into ``folder``, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not hasattr(os, "getuid"):
        return True  # Windows keeps a user's folders to the user
    status = folder.stat()
    return status.st_uid == os.getuid() and status.st_mode & 0o022 == 0


class Compilation:
    """A compilation in a child process, which ends with this process however that ends."""

    def __init__(
        self, generator: Path, dtype: torch.dtype, package: Path, batch: int = 1, sha256: str | None = None
    ) -> None:
        """Starts ``compile_generator``, in our own environment, so that it finds the same packages and compiler."""
        what = [str(generator), str(dtype), str(package), str(batch), *([sha256] if sha256 is not None else [])]
        arguments = [sys.executable, "-m", "effigy.generators.previews.compiled", *what]
        self._package = package
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed when it is read
        self._deadline = time.monotonic() + _PATIENCE_S
        self._child = subprocess.Popen(  # noqa: S603  our own module
            arguments,
            stdin=subprocess.PIPE,  # nothing is ever said there: its end is our end
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
        )

    def ended(self) -> bool:
        """Returns whether it has finished, successfully or not."""
        if time.monotonic() > self._deadline:
            _end_group(self._child)
        return self._child.poll() is not None

    def package(self) -> Path | None:
        """Returns the package; logs the reason and returns None if the compilation failed."""
        self._child.wait()
        self._errors.seek(0)
        errors = self._errors.read()
        self._close()
        if self._child.returncode == 0 and self._package.is_file():
            return self._package
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no word of it"]
        log.info("previews stay uncompiled", reason=last[0][:300])
        return None

    def stop(self) -> None:
        """Ends it and what it started; does nothing when it has ended."""
        _end_group(self._child)
        self._child.wait()
        self._close()
        for rest in self._package.parent.glob(f"{self._child.pid}-*"):
            rest.unlink(missing_ok=True)

    def _close(self) -> None:
        self._errors.close()
        if self._child.stdin is not None:
            self._child.stdin.close()


def _end_group(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    if hasattr(os, "killpg"):
        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()


def prune(folder: Path) -> None:
    """Removes all but the newest packages."""
    packages = sorted(folder.glob("*.pt2"), key=lambda path: path.stat().st_mtime, reverse=True)
    for package in packages[_KEPT:]:
        package.unlink(missing_ok=True)


def _leave_with_parent(package: Path, folder: str) -> None:
    """Ends this child, and the compilers it started, when its parent is gone."""
    os.read(sys.stdin.fileno(), 1)
    shutil.rmtree(folder, ignore_errors=True)
    for rest in package.parent.glob(f"{os.getpid()}-*"):
        rest.unlink(missing_ok=True)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():  # the group that Compilation made
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _main(generator: str, dtype: str, package: str, batch: str, sha256: str | None = None) -> None:
    if hasattr(os, "nice"):
        os.nice(_NICE)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="effigy-compile-") as folder:  # not one that others could have made
        threading.Thread(target=_leave_with_parent, args=(Path(package), folder), daemon=True).start()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        known = next(each for each in DTYPES if str(each) == dtype)
        compile_generator(Path(generator), known, Path(package), int(batch), sha256)
    prune(Path(package).parent)


if __name__ == "__main__":
    _main(*sys.argv[1:])
