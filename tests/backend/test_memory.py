# SPDX-License-Identifier: Apache-2.0
"""Freed memory is reused instead of being requested from the system again."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from effigy.faces import FIRST_BUNDLE
from effigy.generators import load_generator

SCRIPT = """
import ctypes, resource, sys, threading
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages of 4 KiB, whatever the machine prefers
from effigy.memory import keep_freed_memory, keep_picture_memory
mode, size, total = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if mode in ("keep", "both"):
    keep_freed_memory()
if mode in ("picture", "both"):
    keep_picture_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(size << 20) for _ in range(total // size)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def work():
    first = faults()
    print(first, max(faults() for _ in range(5)))

if mode in ("picture", "none"):  # on the main thread, whose heap grows to any size
    work()
else:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""


def faults_of(mode: str, size: int = 200, total: int = 200) -> tuple[int, int]:
    """Returns page faults for ``total`` MiB in blocks of ``size``: the first time, and the most of five more times."""
    arguments = [sys.executable, "-c", SCRIPT, mode, str(size), str(total)]
    out = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    first, later = map(int, out.split())
    return first, later


glibc_only = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc only"
)


@glibc_only
@pytest.mark.parametrize("mode", ["keep", "both"])
def test_a_large_block_is_faulted_in_once(mode: str):
    first, later = faults_of(mode)
    assert first > 20_000
    assert later < first / 100
    assert faults_of("default")[1] > 20_000, "this libc keeps it by itself: the call is not needed here"


@glibc_only
def test_the_blocks_of_a_picture_are_faulted_in_once():
    first, later = faults_of("picture", 20, 100)
    assert first > 20_000
    assert later < first / 100
    assert faults_of("none", 20, 100)[1] > 5_000, "this libc keeps them by itself: the call is not needed here"


@glibc_only
def test_a_generator_on_the_cpu_keeps_what_a_picture_needs(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr("effigy.generators.load.keep_picture_memory", lambda: asked.append("kept"))
    load_generator(FIRST_BUNDLE / "generator.safetensors", "cpu")
    assert asked == ["kept"]
