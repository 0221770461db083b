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

INSIDE = ROOT / "tests" / "blender" / "inside"


def test_the_oldest_and_a_newer_blender_are_set_up():
    assert {"4.2", "4.5", "5.0"} <= {blender.version for blender in BLENDERS}, "run make test: it sets up Blender"


# Tests marked newest are of what a version of Blender has no part in, as backends that die.
OLDER = ["-m", "not newest"]
# What Blender's interface changed in between the oldest and the newest: actions, node trees, files, panels, renders.
# EEVEE has one name up to 4.5, another later: the oldest and the newest show both.
BETWEEN = (
    "test_animation.py",
    "test_display.py",
    "test_exr.py",
    "test_files.py",
    "test_matte.py",
    "test_panel.py",
    "test_render.py",
    "test_scenes.py",
)


def chosen(blender: Blender) -> list[str]:
    """Returns pytest's arguments: the tests of ``INSIDE`` that are to run in this Blender."""
    if blender == BLENDERS[-1]:
        return [str(INSIDE)]
    if blender == BLENDERS[0]:
        return [str(INSIDE), *OLDER]
    return [*(str(INSIDE / name) for name in BETWEEN), *OLDER, "-k", "not EEVEE"]


@pytest.mark.parametrize("blender", BLENDERS, ids=lambda blender: blender.version)
@pytest.mark.timeout(3600)
def test_the_installed_add_on_passes_its_tests_in(
    blender: Blender, addon_zip, effigy_command, tmp_path, record_testsuite_property
):
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
        [*command, "--rootdir", INSIDE, "--confcutdir", INSIDE],
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
