# SPDX-License-Identifier: Apache-2.0
"""The backend as a child process."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from effigy_client.processes import is_alive
from effigy_client.provision import BackendError, LocalBackend, split_command
from effigy_protocol.connection import read_connection


def wait(condition, timeout=300.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_that_will_not_leave_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("effigy_client.provision._STOP_S", 0.3)
    ignoring = tmp_path / "ignoring"
    stubborn = (
        f"import pathlib, signal, time; signal.signal(15, signal.SIG_IGN); pathlib.Path({str(ignoring)!r}).touch(); "
    )
    command = program(tmp_path, stubborn + "time.sleep(600)")
    backend = LocalBackend(command, tmp_path)
    wait(ignoring.exists)
    backend.stop()
    wait(backend.reap)
    assert backend.exit_code == -signal.SIGKILL
    ignoring.unlink()
    second = LocalBackend(command, tmp_path)
    wait(ignoring.exists)
    second.stop_and_wait()
    assert second.exit_code == -signal.SIGKILL


def test_a_command_may_have_arguments_and_a_path_may_have_spaces(tmp_path):
    assert split_command(f"{sys.executable} -m x")[1:] == ["-m", "x"]
    folder = tmp_path / "a folder"
    folder.mkdir()
    program = folder / "effigy"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert split_command(str(program)) == [str(program)]
    assert split_command(f'"{program}"') == [str(program)]


@pytest.mark.parametrize(
    "command",
    [
        "",
        "  ",
        "/nowhere/effigy",
        "no-such-command-anywhere --x",
        "/home/o'brien/effigy",
        "~nobody-is-called-so/effigy",
        "x" * 300,  # longer than the name of any file
        "/" + "x" * 300,
    ],
)
def test_a_command_that_is_none_says_what_to_do(command):
    with pytest.raises(BackendError, match="install the backend, or give the path"):
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


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a name's ending decides what may be run")
def test_a_file_that_may_not_be_run_says_so(tmp_path):
    program = tmp_path / "effigy"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o644)
    with pytest.raises(BackendError, match=r"may not be run.*chmod \+x"):
        split_command(f"{program} --device cpu")


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
    assert backend._printed.read_text() == "home=\n"
    assert os.environ["PYTHONHOME"] == "/nowhere"


def test_a_model_of_the_users_own_is_asked_for_and_last_words_are_the_error(effigy_command, tmp_path):
    backend = LocalBackend(effigy_command, tmp_path, str(tmp_path / "nobody.effigy"))
    wait(lambda: backend.exit_code is not None)
    assert backend.exit_code == 3
    assert "nobody.effigy is not a face model" in backend.last_words(), "the error of its log"


def test_one_that_dies_without_an_error_line_leaves_its_last_line(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text(f"#!{sys.executable}\nimport sys\nprint('first')\nsys.exit('libfoo.so is missing')\n")
    broken.chmod(0o755)
    backend = LocalBackend(str(broken), tmp_path)
    wait(lambda: backend.exit_code is not None)
    assert backend.last_words() == "libfoo.so is missing"


def program(folder, text, name="program"):
    """A command that is a Python program."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


def last_words_of(command, folder):
    backend = LocalBackend(command, folder)
    wait(lambda: backend.exit_code is not None)
    return backend.last_words()


def test_a_wrong_option_is_told_by_its_sentence_and_not_by_the_box_around_it(effigy_command, tmp_path):
    assert "No such option: --verbos" in last_words_of(f"{effigy_command} --verbos", tmp_path)


BOX = """
 Usage: effigy [OPTIONS] COMMAND [ARGS]...

╭─ Error ──────────────────────────╮
│ No such option: --verbose        │
╰──────────────────────────────────╯
"""


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (BOX, "No such option: --verbose"),  # a backend of an earlier version, or another program of that name
        ("+-----+\n| bad |\n+-----+", "bad"),
        ("effigy: error: the port is taken\nsome library says goodbye", "the port is taken"),
        ("one\n\n  two  \n\n", "two"),
        ("", ""),
        ("────\n***\n", ""),
    ],
)
def test_last_words_are_words(tmp_path, printed, words):
    assert last_words_of(program(tmp_path, f"print({printed!r})"), tmp_path) == words


def test_what_a_backend_writes_is_its_owners_alone_and_its_own(effigy_command, tmp_path, monkeypatch):
    """Two at once: the first is stopped and still paints while the second starts, or two machines share a home."""
    monkeypatch.setattr("effigy_client.provision._STOP_S", 300.0)  # a busy machine
    first, second = (LocalBackend(effigy_command, tmp_path) for _ in range(2))
    for backend in (first, second):
        wait(backend.connection_file.exists)
        assert backend.exit_code is None
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert sorted(path.suffix for path in files) == [".json"] * 2 + [".log"] * 2 + [".txt"] * 2
    logs = {backend.pid: list(tmp_path.glob(f"backend-{backend.pid}-*.log")) for backend in (first, second)}
    for pid, (log,) in logs.items():
        assert f'"pid": {pid}' in log.read_text()
    assert read_connection(first.connection_file).client_key != read_connection(second.connection_file).client_key
    first.stop()
    wait(first.reap)
    assert first.exit_code == 0
    assert [path for path in files if path.suffix == ".json" and path.exists()] == [second.connection_file]
    second.stop_and_wait()
    assert second.exit_code == 0
    assert not list(tmp_path.glob("*.json"))


def test_what_backends_of_earlier_blenders_left_is_removed(tmp_path):
    for number in range(10):
        for suffix in (".txt", ".json"):
            path = tmp_path / f"printed-4999999-{number}{suffix}"  # of a process that cannot be
            path.write_text("")
            os.utime(path, (number, number))
    living = tmp_path / f"printed-{os.getpid()}-old.txt"
    living.write_text("")
    os.utime(living, (0, 0))
    backend = LocalBackend(program(tmp_path, "pass"), tmp_path)
    wait(lambda: backend.exit_code is not None)
    assert living.exists()
    assert len(list(tmp_path.glob("printed-4999999-*.txt"))) == 4
    assert len(list(tmp_path.glob("printed-4999999-*.json"))) == 4


def test_a_folder_that_cannot_be_written_is_named(effigy_command, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BackendError, match="cannot be written"):
        LocalBackend(effigy_command, blocked / "folder")


def test_a_killed_backend_says_why_it_was_killed(tmp_path):
    backend = LocalBackend(program(tmp_path, "import time; print('all is well', flush=True); time.sleep(60)"), tmp_path)
    backend.kill("it answered nothing any more")
    wait(lambda: backend.exit_code is not None)
    assert backend.last_words() == "it answered nothing any more"


def test_the_dead_are_told_from_the_living():
    assert is_alive(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert not is_alive(child.pid)
    assert not any(map(is_alive, (0, -1, 2**22 + 1, 2**70)))
