# SPDX-License-Identifier: Apache-2.0
"""A service starts with a reason to fail named, and never stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from effigy_protocol.connection import Connection, read_connection
from effigy_protocol.messages import Error, FromSeed, Hello, OpenIdentity, Ping, Pong, Synthesize


def test_the_connection_file_names_the_real_port_and_is_private(start):
    service = start("--port", "0")
    endpoint = service.connection().endpoint
    assert int(endpoint.rpartition(":")[2]) > 0
    assert stat.S_IMODE(service.connection_file.stat().st_mode) == 0o600
    assert read_connection(service.connection_file).pid == service.process.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(start, connect, number):
    service = start()
    connect(service).hello()
    service.process.send_signal(number)
    assert service.process.wait(15) == 0
    assert not service.connection_file.exists()


def test_who_waits_is_told_when_it_leaves(start, connect):
    service = start()
    client = connect(service)
    client.hello()
    identity = client.ask(OpenIdentity(FromSeed(1))).identity
    ids = [client.send(Synthesize(identity, float(yaw), 0.0, {}, "final")) for yaw in range(40)]
    client.receive()
    service.process.terminate()
    replies = [client.receive() for _ in ids[1:]]
    assert {reply.code for _, reply in replies if isinstance(reply, Error)} == {"shutting-down"}
    assert service.process.wait(15) == 0


def test_it_leaves_when_its_parent_is_gone(start, connect):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        service = start("--parent-pid", str(parent.pid))
        connect(service).hello()
        parent.kill()
    assert service.process.wait(15) == 0


def test_it_leaves_when_nobody_talks_to_it(start, connect):
    service = start("--idle-exit", "1.5")
    client = connect(service)
    client.hello()
    for _ in range(4):
        time.sleep(0.7)
        assert isinstance(client.ask(Ping()), Pong)
    assert service.process.wait(15) == 0


def test_a_port_in_use_is_named_with_what_to_do(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = start("--port", str(port))
        assert service.process.wait(60) == 2
    said = service.log.read_text()
    assert f"port {port}" in said
    assert "--port 0" in said
    assert "Traceback" not in said


def test_loopback_has_more_than_one_name(start, connect):
    service = start("--host", "localhost")
    connect(service).hello()
    assert service.stop() == 0


def test_a_zombie_is_no_parent(start, connect):
    # A parent that ended and that nobody reaped, as in a container whose first process does not.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        service = start("--parent-pid", str(parent.pid))
        connect(service).hello()
        parent.stdin.close()
        assert service.process.wait(15) == 0


def test_a_signal_while_the_model_loads_ends_it_too(tmp_path, effigy_command):
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time\n"
        "import effigy.service.serve as serve\n"
        "serve.load_face_model = lambda *a, **k: time.sleep(60)\n"
        "from effigy.cli import app\n"
        "sys.argv = ['effigy', *sys.argv[1:]]\n"
        "app()\n"
    )
    path = tmp_path / "connection.json"
    with subprocess.Popen([sys.executable, slow, "serve", "--connection-file", path]) as process:
        end = time.monotonic() + 60
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(10) == 0
    assert not path.exists()


def test_who_asks_a_service_that_cannot_load_is_told_why(start, connect, tmp_path):
    client = connect(start("--model", str(tmp_path / "none.effigy")))
    while (reply := client.ask(Hello("test"))).code == "loading":
        time.sleep(0.01)
    assert reply.code == "failed"
    assert "none.effigy is not a face model" in reply.message


def test_a_model_that_cannot_be_loaded_is_no_success_because_nobody_asked_for_it(start, tmp_path):
    service = start("--model", str(tmp_path / "none.effigy"), "--idle-exit", "0.2")
    assert service.process.wait(60) == 3


@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_a_model_that_cannot_be_loaded_ends_it_with_a_reason(start, tmp_path, damage):
    model = tmp_path / "face.effigy"
    if damage == "corrupt":
        model.mkdir()
        (model / "model.json").write_text("{")
    service = start("--model", str(model))
    assert service.process.wait(60) == 3
    said = service.log.read_text()
    assert str(model) in said
    assert "Traceback" not in said
    assert not service.connection_file.exists()


def test_the_log_is_json_lines_without_secrets(start, connect):
    service = start()
    client = connect(service)
    client.hello()
    opened = client.ask(OpenIdentity(FromSeed(1)))
    client.ask(Synthesize(opened.identity, 0.0, 0.0, {}))
    assert service.stop() == 0
    entries = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert {entry["event"] for entry in entries} >= {"serving", "model ready", "left"}
    assert all({"event", "level", "timestamp"} <= entry.keys() for entry in entries)
    assert opened.identity not in service.log.read_text()


def test_an_unwritable_connection_file_is_named(effigy_command, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    ran = subprocess.run(
        [effigy_command, "serve", "--connection-file", str(blocked / "connection.json")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert ran.returncode == 2
    assert "connection file" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("named", [False, True])
def test_a_second_backend_does_not_take_the_firsts_connection_file(effigy_command, tmp_path, named):
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    path = tmp_path / "effigy" / "connection.json"
    command = [effigy_command, "serve", *(["--connection-file", str(path)] if named else [])]
    with subprocess.Popen([effigy_command, "serve"], env=environment, stderr=subprocess.PIPE) as first:
        try:
            end = time.monotonic() + 60
            while not path.exists():
                assert time.monotonic() < end
                time.sleep(0.05)
            second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
            assert second.returncode == 2
            assert f"runs already as process {first.pid}" in second.stderr
            assert path.exists()
        finally:
            first.terminate()
            first.communicate()


def test_a_connection_file_of_a_backend_that_is_gone_stops_nobody(effigy_command, tmp_path):
    """Its number may belong to another process by now, which started after the file was written: here, this test."""
    path = tmp_path / "effigy" / "connection.json"
    Connection("tcp://127.0.0.1:1", os.getpid(), "0" * 40, "0" * 40).write(path)
    os.utime(path, (0, 0))
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    with subprocess.Popen([effigy_command, "serve"], env=environment, stderr=subprocess.PIPE) as service:
        try:
            end = time.monotonic() + 60
            while read_connection(path).pid != service.pid:
                assert time.monotonic() < end
                assert service.poll() is None
                time.sleep(0.05)
        finally:
            service.terminate()
            service.communicate()


@pytest.mark.parametrize("stuck", [False, True])
def test_a_service_that_fails_says_why_and_leaves(tmp_path, stuck):
    """``stuck``: the worker never comes to an end, so that the process must be ended without it."""
    script = tmp_path / "fails.py"
    script.write_text(
        "import sys, threading, time\n"
        "import effigy.service.serve as serve\n"
        "from effigy.faces import BundleError\n"
        "def load(*a, **k):\n"
        f"    if {stuck}: time.sleep(60)\n"
        "    raise BundleError('no model')\n"
        "def step(self):\n"
        "    self.steps = getattr(self, 'steps', 0) + 1\n"
        "    if self.steps > 3: raise MemoryError('this much')\n"
        "    time.sleep(0.05)\n"
        "    return True\n"
        "serve.load_face_model, serve.Server.step = load, step\n"
        "from effigy.cli import app\n"
        "sys.argv = ['effigy', *sys.argv[1:]]\n"
        "app()\n"
    )
    path, logs = tmp_path / "connection.json", tmp_path / "logs"
    command = [sys.executable, script, "serve", "--connection-file", path, "--log-folder", logs]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        "effigy: error: the service failed (MemoryError: this much): please report it, with its log"
    ]
    assert not path.exists()
    (log,) = logs.glob("*.log")
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    failure = next(entry for entry in entries if entry["event"] == "the service failed")
    assert "MemoryError: this much" in failure["exception"]


def test_a_model_that_cannot_be_loaded_is_the_last_line_that_is_printed(start, tmp_path):
    service = start("--model", str(tmp_path / "none.effigy"), "--log-folder", str(tmp_path / "logs"))
    assert service.process.wait(60) == 3
    (line,) = service.log.read_text().splitlines()
    assert line.startswith("effigy: error: ")
    assert "none.effigy is not a face model" in line


def test_an_unusable_log_folder_is_named(start, tmp_path):
    (tmp_path / "file").write_text("")
    service = start("--log-folder", str(tmp_path / "file" / "logs"))
    assert service.process.wait(60) == 2
    assert "choose another --log-folder" in service.log.read_text()


def test_a_backend_of_another_version_is_not_pushed_aside(effigy_command, tmp_path):
    path = tmp_path / "connection.json"
    path.write_text(json.dumps({"endpoint": "tcp://127.0.0.1:1", "pid": os.getppid(), "protocol": 3}))
    path.chmod(0o600)
    command = [effigy_command, "serve", "--connection-file", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert f"runs already as process {os.getppid()}" in ran.stderr
    assert path.exists()
