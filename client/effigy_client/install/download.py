# SPDX-License-Identifier: Apache-2.0
"""Downloads one file of known size and checksum, and resumes a download that was cut off."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from effigy_protocol.files import beside, digest

from .plan import InstallError

_CHUNK = 1 << 18
_TIMEOUT_S = 30.0
_TRIES = 4  # of one download, each from where the last one ended
_WAIT_S = 1.0  # before the second; then twice as long each time


class CancelledError(Exception):
    """The user has cancelled."""


def fetch(
    address: str,
    path: Path,
    size: int,
    sha256: str,
    cancelled: threading.Event,
    progress: Callable[[int, int], None],
) -> Path:
    """Downloads ``address`` to ``path`` and returns it; a file with the right checksum is kept.

    Raises InstallError, OSError, or CancelledError. What has been downloaded is kept for the next time.
    """
    if path.is_file() and digest(path) == sha256:
        return path
    if not address.startswith(("https://", "http://127.0.0.1:")):
        raise InstallError(f"{address} is not an https address: the backend is taken from nowhere else")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = beside(path, ".part")
    why = ""
    for attempt in range(_TRIES):
        resumed = part.is_file()
        if attempt and cancelled.wait(_WAIT_S * 2 ** (attempt - 1)):
            raise CancelledError
        try:
            _get(address, part, size, cancelled, progress)
        except urllib.error.HTTPError as error:
            why = f"the server says {error.code} {error.reason}"
            if error.code < 500:
                break
            continue
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            why = str(getattr(error, "reason", error))
            continue
        if part.stat().st_size < size:
            why = "the connection ended too early"
            continue
        if digest(part) != sha256:
            part.unlink()
            why = "what was there of it belongs to another file"
            if resumed:
                continue
            raise InstallError(
                f"{address} is not the backend of this release (its sha256 differs): nothing was installed"
            )
        part.replace(path)
        return path
    raise InstallError(f"{address} cannot be downloaded ({why}): see whether this machine is online, and install again")


def _get(address: str, part: Path, size: int, cancelled: threading.Event, progress: Callable[[int, int], None]) -> None:
    """Downloads what is missing of ``part``."""
    have = part.stat().st_size if part.is_file() else 0
    if have > size:
        part.unlink()
        have = 0
    if have == size:
        return
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 see fetch
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        goes_on = have and answer.status == 206
        done = have if goes_on else 0
        with part.open("ab" if goes_on else "wb") as file:
            while chunk := answer.read(_CHUNK):
                if cancelled.is_set():
                    raise CancelledError
                done += len(chunk)
                if done > size:
                    raise InstallError(f"{address} is larger than the backend: nothing was installed")
                file.write(chunk)
                progress(done, size)
