# SPDX-License-Identifier: Apache-2.0
"""Whether another process of this machine still runs, on every system."""

from __future__ import annotations

import ctypes
import os
import sys

# winnt.h and winerror.h
_SYNCHRONIZE, _WAIT_TIMEOUT, _ACCESS_DENIED = 0x00100000, 0x102, 5


def is_alive(pid: int) -> bool:
    """Whether this machine has a process of that number. One that ended and that nobody reaped counts as alive."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _is_alive_on_windows(pid: int) -> bool:
    """Signal 0 would interrupt it there."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel.OpenProcess.restype = ctypes.c_void_p
    opened = kernel.OpenProcess(_SYNCHRONIZE, False, pid)
    if not opened:
        return bool(ctypes.get_last_error() == _ACCESS_DENIED)  # type: ignore[attr-defined,unused-ignore]
    handle = ctypes.c_void_p(opened)
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == _WAIT_TIMEOUT)
    finally:
        kernel.CloseHandle(handle)
