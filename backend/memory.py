# SPDX-License-Identifier: Apache-2.0
"""Freed memory stays with the process, where that makes painting faster."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # malloc.h


def keep_freed_memory() -> None:
    """Has glibc reuse large freed blocks instead of giving them back to the system; does nothing elsewhere.

    A generator's layers need buffers of tens of megabytes, each freed a moment later. Taken anew from the system, every
    page of them is cleared first: at 1024 that is an eighth of a picture's time (docs/benchmarks.md). The price is
    that the process stays as large as it ever was. All threads share one heap, since the others' cannot grow to such
    sizes; a thread that has one of its own already keeps it, so call this early.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_ARENA_MAX, 1)
