# SPDX-License-Identifier: Apache-2.0
"""Freed memory stays with the process, where that makes painting faster.

A generator's layers need buffers of tens of megabytes, each freed a moment later. Taken anew from the system, every
page of them is cleared first: at 1024 that is a fifth of a picture's time (docs/benchmarks.md).
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
    """Has glibc keep as much freed memory as painting a picture takes, for a process that is not ours alone.

    ``load_generator`` asks for it on CPUs. Up to 128 MiB stay at the end of the heap, and only blocks above 32 MiB come
    from the system and go back there. Does nothing where there is no glibc, nor after ``keep_freed_memory``, which
    keeps more.
    """
    if not _kept_everything:
        _mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        _mallopt(_M_TRIM_THRESHOLD, _PICTURE)


def keep_freed_memory() -> None:
    """Has glibc reuse freed blocks of any size instead of giving them back to the system; does nothing elsewhere.

    For processes of our own. The price is that they stay as large as they ever were. All threads share one heap,
    since the others' cannot grow to such sizes; a thread that has one of its own already keeps it, so call this early.
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
