# SPDX-License-Identifier: Apache-2.0
"""Keeps freed memory in the process where that makes painting faster.

A generator's layers need buffers of tens of megabytes, each freed a moment later. If they are taken from the system
anew, every page is cleared first: at 1024 × 1024 that is a fifth of a picture's time (docs/benchmarks.md).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8  # malloc.h
_LARGEST = 32 << 20  # bytes; glibc's own limit of M_MMAP_THRESHOLD: larger blocks come from the system, unless none may
_PICTURE = 128 << 20  # bytes: what most layers of a 1024 picture hold at once, painted in strips (networks/strips.py)

_kept_everything = False


def keep_picture_memory() -> None:
    """Makes glibc keep as much freed memory as one picture needs; for processes that others use too.

    ``load_generator`` calls it on CPUs. Up to 128 MiB stay at the end of the heap; only blocks above 32 MiB come from
    the system and go back to it. Does nothing without glibc, or after ``keep_freed_memory``, which keeps more.
    """
    if not _kept_everything:
        _mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        _mallopt(_M_TRIM_THRESHOLD, _PICTURE)


def keep_freed_memory() -> None:
    """Makes glibc reuse freed blocks of any size instead of returning them to the system; for Effigy's own processes.

    The price is that a process stays as large as it ever was. All threads share one heap, because per-thread heaps
    cannot grow so far; a thread that already has its own keeps it, so call this early. Does nothing without glibc.
    """
    global _kept_everything
    _kept_everything = True
    _mallopt(_M_MMAP_MAX, 0)
    _mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    _mallopt(_M_ARENA_MAX, 1)


def _mallopt(parameter: int, value: int) -> None:
    if (mallopt := _glibc_mallopt()) is not None:
        mallopt(parameter, value)


@cache
def _glibc_mallopt() -> ctypes._NamedFuncPointer | None:  # None on other systems, and with musl
    return getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
