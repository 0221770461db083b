# SPDX-License-Identifier: Apache-2.0
"""Tells whether another process of this machine still runs, on every system."""

from __future__ import annotations

import ctypes
import os
import sys

# winnt.h and winerror.h
_SYNCHRONIZE, _WAIT_TIMEOUT, _ACCESS_DENIED = 0x00100000, 0x102, 5


def is_alive(pid: int) -> bool:
    """Returns whether this machine has a process with this number. One that ended but was not reaped counts too."""
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
    """Asks the kernel for the process, because ``os.kill(pid, 0)`` would interrupt it on Windows."""
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
