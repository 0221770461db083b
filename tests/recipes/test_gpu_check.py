# SPDX-License-Identifier: Apache-2.0
"""The check of a GPU, run on the CPU: what it measures, claims and leaves out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.gpu import check

SCRIPT = Path(check.__file__).with_name("check.sh")


def test_the_script_writes_a_page_on_a_machine_without_a_gpu(tmp_path):
    page = tmp_path / "page.md"
    environment = {**os.environ, "DEVICE": "cpu", "PYTHON": sys.executable, "SIZES": "128", "BUDGET": "3000"}
    ran = subprocess.run(["bash", SCRIPT, page], env=environment, capture_output=True, text=True, timeout=850)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    text = page.read_text(encoding="utf-8")
    assert "without a GPU: nothing here is about CUDA" in text
    assert "All checks hold." in text
    for part in ("| float32 | 0.0e+00 |", "Of the finals' values, 0 in a million", "| preview |", "| eager | 1 |"):
        assert part in text


def test_what_there_is_no_time_for_is_unmeasured():
    text = check.main("cpu", [256], Path("/nowhere"), 0.0, 0).text()
    for name in ("Parity", "From hand to picture", "Speed at 256", "Beside the official code"):
        assert f"## {name}\n\nUnmeasured: the time was up." in text


def test_a_check_that_fails_stands_at_the_top():
    page = check.Page("x")
    assert not check.check(page, False, "finals without TF32")
    assert "**These fail:** finals without TF32." in page.text()


def test_official_code_that_cannot_run_is_told(tmp_path):
    page = check.Page("x")
    check.beside(page, tmp_path, [128], check.time.monotonic() + 100)
    assert "It ended with code" in page.text()


@pytest.mark.parametrize("device", ["gpu"])
def test_a_device_that_is_not_there_is_an_error(device):
    with pytest.raises(Exception, match="there is no device 'gpu'"):
        check.main(device, [], None, 0.0, 0)
