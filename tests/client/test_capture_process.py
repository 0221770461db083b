# SPDX-License-Identifier: Apache-2.0
"""A process that reads films and cameras is heard, and ended, whatever it says; here another program says it."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pytest

from effigy_client.capture.cameras import CameraList
from effigy_client.capture.process import CaptureProcess
from effigy_client.processes import is_alive
from effigy_client.provision import BackendError


@pytest.fixture()
def pretend(tmp_path):
    """Starts a program that has the capture's options and does what a Python text says."""
    started = []

    def start(text, source="film.mp4", **options):
        script = tmp_path / "effigy.py"
        script.write_text("import sys, json, time\nsay = lambda **line: print(json.dumps(line), flush=True)\n" + text)
        started.append(CaptureProcess(f'"{sys.executable}" "{script}"', source, **options))
        return started[-1]

    yield start
    for process in started:
        process.end()


def test_what_it_says_is_heard_in_any_order_and_nonsense_is_passed_over(pretend, tmp_path):
    process = pretend(
        "say(film={'name': 'film.mp4', 'rate': 24.0, 'total': 3, 'left_out': ['mouthSide']})\n"
        "print('no JSON'); print('[1]'); say(reading=7); say(reading={'done': 'x'}); say(later={'a': 1})\n"
        "say(camera=None)\n"
        "say(seen={'width': 9999, 'height': 1, 'rgb': '', 'points': []}); say(seen={'width': 2})\n"
        "say(seen={'width': 2, 'height': 1, 'rgb': 'AQIDBAUG', 'points': [[0.5, 0.25], [float('nan'), 0]]})\n"
        "say(reading={'done': 3, 'total': 3}); say(said='no face is seen')\n"
        "say(written={'path': 'x', 'moments': 2, 'missing': 1, 'faces': 2, 'left_out': ['mouthSide']})\n",
        out=tmp_path / "take.csv",
    )
    process.wait(300)
    assert not process.is_running
    assert (process.problem, process.name, process.is_camera) == ("", "film.mp4", False)
    assert (process.done, process.total, process.said, process.left_out) == (3, 3, "no face is seen", ("mouthSide",))
    assert (process.written.moments, process.written.missing, process.written.faces) == (2, 1, 2)
    assert process.seen.picture.tolist() == [[[1, 2, 3], [4, 5, 6]]]
    np.testing.assert_array_equal(process.seen.points, [[0.5, 0.25]])


def test_it_is_told_what_to_read_and_where_that_goes(pretend, tmp_path):
    process = pretend("say(said=sys.argv[1:])", source="0", port=4711, face=2, neutral="none", model="m.effigy")
    process.wait(300)
    for part in ("'capture', '0', '--report'", "'--to', '127.0.0.1:4711'", "'--face', '2'", "'--model', 'm.effigy'"):
        assert part in process.said
    process = pretend("say(said=sys.argv[1:])", out=tmp_path / "take.csv")
    process.wait(300)
    assert "take.csv" in process.said
    assert "--to" not in process.said


def test_why_it_ended_is_its_own_last_words(pretend):
    process = pretend("print('effigy: error: there is no camera 7: plug one in', file=sys.stderr); sys.exit(2)", "7")
    process.wait(300)
    assert process.problem == "there is no camera 7: plug one in"
    process = pretend("sys.exit(3)")
    process.wait(300)
    assert process.problem == "the capture ended with code 3"
    with pytest.raises(BackendError, match="there is no backend command"):
        CaptureProcess("/nowhere/effigy", "0")


@pytest.mark.parametrize("deaf", [False, True])
def test_ended_it_is_gone_and_says_nothing(pretend, deaf):
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if deaf else ""
    process = pretend(ignore + "say(camera={'name': 'HD Webcam'})\ntime.sleep(600)", "0", port=4711)
    end = time.monotonic() + 300
    while not process.name:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert process.is_camera
    process.end()
    process.end()
    assert not process.is_running
    assert process.problem == ""
    assert not is_alive(process.pid)


def test_a_program_that_never_ends_its_line_takes_no_more_than_a_line_of_memory(pretend):
    process = pretend("sys.stdout.write('x' * (3 << 20)); say(said='still here')")
    process.wait(300)
    assert process.problem == ""
    assert json.dumps(process.said)


@pytest.mark.parametrize(
    ("text", "found", "problem"),
    [
        ('print(\'[{"number": 0, "name": "HD Webcam"}, {"number": 2, "name": "é"}]\')', 2, ""),
        ("print('[]')", 0, ""),
        ("print('effigy: error: FFmpeg is missing', file=sys.stderr); sys.exit(2)", 0, "FFmpeg is missing"),
        ("print('nonsense')", 0, "of this release"),
    ],
)
def test_cameras_are_listed_or_it_is_said_why_not(tmp_path, text, found, problem):
    script = tmp_path / "effigy.py"
    script.write_text("import sys\nassert sys.argv[1:] == ['capture', '--cameras']\n" + text, encoding="utf-8")
    cameras = CameraList(f'"{sys.executable}" "{script}"')
    cameras.wait(300)
    assert len(cameras.found) == found
    assert problem in cameras.problem
    assert bool(problem) == bool(cameras.problem)
    assert not found or cameras.found[0] == (0, "HD Webcam")
