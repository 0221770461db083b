# SPDX-License-Identifier: Apache-2.0
"""Freed memory is used again instead of being asked from the system anew."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, resource, sys, threading
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages of 4 KiB, whatever the machine prefers
from backend.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(100 << 20)
    del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def work():
    first = faults()
    print(first, max(faults() for _ in range(5)))

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def faults_of(mode: str) -> tuple[int, int]:
    """Page faults of a large block, the first time and at most of five times more, on a thread of its own."""
    out = subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True).stdout
    first, later = map(int, out.split())
    return first, later


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc only"
)
def test_a_large_block_is_faulted_in_once():
    first, later = faults_of("keep")
    assert first > 20_000
    assert later < first / 100
    assert faults_of("default")[1] > 20_000, "this libc keeps it by itself: the call is not needed here"
