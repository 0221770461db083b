# SPDX-License-Identifier: GPL-3.0-or-later
"""Background renders give exact pictures, or a non-zero exit code and a line that says why; never a stale frame."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import psutil
import pytest

from .environments import BLENDERS, NEWEST_3_11, Blender

SCRIPT = Path(__file__).with_name("background_render.py")
each_blender = pytest.mark.parametrize("blender", BLENDERS, ids=lambda blender: blender.version)
newest = pytest.mark.parametrize("blender", [NEWEST_3_11], ids=["newest"])


def start(blender: Blender, action: str, path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Starts background_render.py in a Blender."""
    command = [blender.python, SCRIPT, action, path]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def made(addon_zip, effigy_command, tmp_path_factory):
    """Makes the scene in the oldest Blender, whose files every other opens, once for all tests."""
    oldest, folder = BLENDERS[0], tmp_path_factory.mktemp("made")
    path = folder / "face.blend"
    ran = start(oldest, "make", path, oldest.environment(folder, addon_zip, effigy_command))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return path


@pytest.fixture()
def run(made, addon_zip, effigy_command, tmp_path):
    """Runs an action on a copy of the scene: (blender, action, extra environment) → finished process."""

    def act(blender: Blender, action: str, **extra: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "face.blend"
        if not path.exists():
            shutil.copy(made, path)
        return start(blender, action, path, blender.environment(tmp_path, addon_zip, effigy_command) | extra)

    return act


def frames(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("render_*.png"))]


@each_blender
def test_a_background_render_starts_a_backend_and_leaves_none_behind(run, blender, tmp_path):
    ran = run(blender, "render")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(set(frames(tmp_path))) == 4
    assert not backends(tmp_path)


@newest
def test_a_backend_killed_in_the_middle_is_started_again(run, blender, tmp_path):
    ran = run(blender, "render-and-kill")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Effigy: warning: the backend has ended" in ran.stderr
    assert len(set(frames(tmp_path))) == 4
    assert not backends(tmp_path)


@newest
def test_a_backend_that_cannot_be_started_again_ends_the_render_with_an_error(run, blender, tmp_path):
    ran = run(blender, "render-and-remove")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "Effigy: error: frame 3 of Face 7 cannot be painted" in ran.stderr
    assert len(frames(tmp_path)) == 2, "a frame without its picture was written"
    assert not backends(tmp_path)


@newest
def test_a_background_render_that_may_not_connect_says_so_and_fails(run, blender, tmp_path):
    ran = run(blender, "render", EFFIGY_NO_AUTOSTART="1")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "the preferences forbid" in ran.stderr
    assert frames(tmp_path) == []


@newest
def test_a_backend_that_cannot_start_fails_the_render(run, blender, tmp_path):
    ran = run(blender, "render", EFFIGY_COMMAND="/nowhere/effigy")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "no backend command '/nowhere/effigy'" in ran.stderr
    assert frames(tmp_path) == []


@newest
def test_a_baked_file_renders_without_the_add_on(run, blender, tmp_path):
    ran = run(blender, "make", EFFIGY_BAKE="1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    # Another user folder: this Blender has never seen the add-on.
    ran = run(blender, "render-without", BLENDER_USER_RESOURCES=str(tmp_path / "another"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(set(frames(tmp_path))) == 4
    baked = [iio.imread(path) for path in sorted(tmp_path.glob("render_*.png"))]
    # What the backend paints for a render is what it painted for the bake, and both are the bake's own files.
    (tmp_path / "face.blend").unlink()
    ran = run(blender, "render")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    live = [iio.imread(path) for path in sorted(tmp_path.glob("render_*.png"))]
    files = [iio.imread(path) for path in sorted((tmp_path / "effigy").rglob("*.png"))]
    assert len(baked) == len(live) == len(files) == 4
    for one, other, file in zip(baked, live, files, strict=True):
        np.testing.assert_array_equal(one[..., :3], other[..., :3])
        solid, clear = file[..., 3] == 255, file[..., 3] == 0  # a new face's head is cut out
        assert 0.2 < solid.mean() < 0.8 > clear.mean() > 0.2
        np.testing.assert_array_equal(one[solid][:, :3], file[solid][:, :3])
        assert not one[clear][:, :3].any(), "the world is black"


@newest
def test_effigy_bake_bakes_a_file_without_a_window(made, addon_zip, effigy_command, blender, tmp_path):
    blend, program = tmp_path / "face.blend", tmp_path / "program"
    shutil.copy(made, blend)
    program.write_text(f'#!/bin/sh\nexec {blender.python} {SCRIPT.with_name("as_program.py")} "$@"\n')
    program.chmod(0o755)
    environment = blender.environment(tmp_path, addon_zip, "not the one to be used")

    def bake(*options: str, **extra: str) -> subprocess.CompletedProcess[str]:
        command = [effigy_command, "bake", blend, "--blender", program, *options]
        return subprocess.run(command, env=environment | extra, capture_output=True, text=True, timeout=900)

    before = blend.read_bytes()
    ran = bake("--no-save")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Face 7: 4 frames painted, 0 kept" in ran.stdout
    assert blend.read_bytes() == before
    ran = bake()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Face 7: 0 frames painted, 4 kept" in ran.stdout
    assert blend.read_bytes() != before
    assert not backends(tmp_path)
    ran = bake(EFFIGY_ZIP="", BLENDER_USER_RESOURCES=str(tmp_path / "another"))
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "has no Effigy add-on of this version: install" in ran.stderr
    ran = bake("--model", "/nowhere.effigy")
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "/nowhere.effigy is not a face model" in ran.stderr


def backends(folder: Path) -> list[psutil.Process]:
    """Returns the backends that serve a Blender of this test."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or []) and "serve" in process.info["cmdline"]:
            found.append(process)
    return found
