# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend as a child process."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from blender_addon.core.process import BackendError, LocalBackend, split_command


def wait(condition, timeout=120.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_starts_writes_its_connection_file_and_leaves(effigy_command, tmp_path):
    backend = LocalBackend(effigy_command, tmp_path)
    wait(backend.connection_file.exists)
    assert backend.exit_code is None
    backend.stop()
    wait(backend.reap)
    assert backend.exit_code == 0
    assert not backend.connection_file.exists()


def test_one_that_will_not_leave_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("blender_addon.core.process._STOP_S", 0.3)
    stubborn = tmp_path / "stubborn"
    stubborn.write_text(f"#!{sys.executable}\nimport signal,time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)\n")
    stubborn.chmod(0o755)
    backend = LocalBackend(str(stubborn), tmp_path)
    time.sleep(0.5)
    backend.stop()
    wait(backend.reap)
    assert backend.exit_code not in (None, 0)
    second = LocalBackend(str(stubborn), tmp_path)
    time.sleep(0.5)
    second.stop_and_wait()
    assert second.exit_code not in (None, 0)


def test_its_last_words_are_the_error_of_its_log(effigy_command, tmp_path):
    script = tmp_path / "broken"
    script.write_text(f'#!/bin/sh\nexec "{effigy_command}" "$@" --model /nowhere.effigy\n')
    script.chmod(0o755)
    backend = LocalBackend(str(script), tmp_path)
    wait(lambda: backend.exit_code is not None)
    assert backend.exit_code == 3
    assert "/nowhere.effigy is not a face model" in backend.last_words()


def test_a_command_may_have_arguments_and_a_path_may_have_spaces(tmp_path):
    assert split_command(f"{sys.executable} -m x")[1:] == ["-m", "x"]
    folder = tmp_path / "a folder"
    folder.mkdir()
    program = folder / "effigy"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert split_command(str(program)) == [str(program)]
    assert split_command(f'"{program}"') == [str(program)]


def test_stopping_late_does_not_remove_the_file_of_the_next_backend(effigy_command, tmp_path):
    first = LocalBackend(effigy_command, tmp_path)
    wait(first.connection_file.exists)
    first.stop()
    second = LocalBackend(effigy_command, tmp_path)
    wait(lambda: first.exit_code is not None)
    wait(second.connection_file.exists)
    first.reap()
    assert second.connection_file.exists()
    second.stop_and_wait()


@pytest.mark.parametrize(
    "command", ["", "  ", "/nowhere/effigy", "no-such-command-anywhere --x", "/home/o'brien/effigy"]
)
def test_a_command_that_is_none_says_what_to_do(command):
    with pytest.raises(BackendError, match="preferences"):
        split_command(command)


def test_a_command_may_begin_at_home_and_a_folder_is_told(tmp_path, monkeypatch):
    program = tmp_path / "effigy"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert [Path(part).name for part in split_command("~/effigy")] == ["effigy"]
    with pytest.raises(BackendError, match="is a folder: give the program effigy in it"):
        split_command(str(tmp_path))


def test_a_file_that_cannot_run_says_so(tmp_path):
    broken = tmp_path / "effigy"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    with pytest.raises(BackendError, match="cannot be started"):
        LocalBackend(str(broken), tmp_path)


def test_blenders_python_settings_do_not_reach_the_backend(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    script = tmp_path / "show"
    script.write_text('#!/bin/sh\necho "home=$PYTHONHOME"\n')
    script.chmod(0o755)
    backend = LocalBackend(str(script), tmp_path)
    wait(lambda: backend.exit_code is not None)
    assert backend.log_file.read_text() == "home=\n"
    assert os.environ["PYTHONHOME"] == "/nowhere"


def test_a_model_of_the_users_own_is_served(effigy_command, tmp_path):
    backend = LocalBackend(effigy_command, tmp_path, str(tmp_path / "nobody.effigy"))
    wait(lambda: backend.exit_code is not None)
    assert backend.exit_code == 3
    assert "nobody.effigy" in backend.last_words()


def test_one_that_dies_without_an_error_line_leaves_its_last_line(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text(f"#!{sys.executable}\nimport sys\nprint('first')\nsys.exit('libfoo.so is missing')\n")
    broken.chmod(0o755)
    backend = LocalBackend(str(broken), tmp_path)
    wait(lambda: backend.exit_code is not None)
    assert backend.last_words() == "libfoo.so is missing"
