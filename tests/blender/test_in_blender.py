# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests/blender/inside in every real Blender that is set up, each with a fresh user folder.

In the newest all of it runs; in the oldest what Blender has a part in; in those between, tests of its interfaces.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from .environments import BLENDERS, ROOT, Blender


def test_the_oldest_and_a_newer_blender_are_set_up():
    assert {"4.2", "4.5", "5.0"} <= {blender.version for blender in BLENDERS}, "run make test: it sets up Blender"


# Tests marked newest are of what a version of Blender has no part in, as backends that die.
OLDER = ["-m", "not newest"]
# What goes through all operators and renderers: the oldest and the newest show the differences. EEVEE has one name up
# to 4.5, another later.
NOT_BETWEEN = (
    "test_alpha.py",
    "test_capturing.py",
    "test_checking.py",
    "test_earlier_models.py",
    "test_evaluated.py",
    "test_failing_bakes.py",
    "test_failures.py",
    "test_handling.py",
    "test_install.py",
    "test_lit.py",
    "test_people.py",
    "test_sharpen.py",
    "test_waking.py",
)
BETWEEN = [*OLDER, *(f"--ignore-glob=*/{name}" for name in NOT_BETWEEN), "-k", "not EEVEE"]


def chosen(blender: Blender) -> list[str]:
    """Returns pytest's options for the tests that are to run in this Blender."""
    if blender == BLENDERS[-1]:
        return []
    return OLDER if blender == BLENDERS[0] else BETWEEN


@pytest.mark.parametrize("blender", BLENDERS, ids=lambda blender: blender.version)
@pytest.mark.timeout(3600)
def test_the_installed_add_on_passes_its_tests_in(
    blender: Blender, addon_zip, effigy_command, tmp_path, record_testsuite_property
):
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
        "--timeout=1800",
        "-c",
        os.devnull,
        *chosen(blender),
    ]
    ran = subprocess.run(
        # The conftest of the other tests needs packages that these environments do not have.
        [*command, "--rootdir", inside, "--confcutdir", inside, inside],
        env=blender.environment(tmp_path, addon_zip, effigy_command),
        capture_output=True,
        text=True,
        timeout=3500,
    )
    report = ran.stdout[-8000:] + ran.stderr[-4000:]
    assert ran.returncode == 0, report
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed, report
    record_testsuite_property(f"inside {blender.version}", passed[1])  # for the compatibility table
