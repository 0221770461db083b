# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests/blender/inside in every real Blender that is set up, each with a fresh user folder."""

from __future__ import annotations

import os
import subprocess

import pytest

from .environments import BLENDERS, ROOT, Blender


def test_the_oldest_and_a_newer_blender_are_set_up():
    assert {"4.2", "4.5", "5.0"} <= {blender.version for blender in BLENDERS}, "run make test: it sets up Blender"


@pytest.mark.parametrize("blender", BLENDERS, ids=lambda blender: blender.version)
@pytest.mark.timeout(600)
def test_the_installed_add_on_passes_its_tests_in(blender: Blender, addon_zip, effigy_command, tmp_path):
    inside = ROOT / "tests" / "blender" / "inside"
    command = [
        blender.python,
        "-m",
        "pytest",
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
        "--timeout=120",
        "-c",
        os.devnull,
    ]
    ran = subprocess.run(
        [*command, "--rootdir", inside, inside],
        env=blender.environment(tmp_path, addon_zip, effigy_command),
        capture_output=True,
        text=True,
        timeout=580,
    )
    report = ran.stdout[-8000:] + ran.stderr[-4000:]
    assert ran.returncode == 0, report
    assert " passed" in ran.stdout, report
