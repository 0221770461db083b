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

LEAVES_S = 300  # how long a test waits for a process to end; the machine may be busy


@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGTERM, ("--port", "0")), (signal.SIGINT, ("--host", "localhost"))]
)
def test_it_serves_in_private_until_a_signal_ends_it(start, connect, number, options):
    service = start(*options)
    assert int(service.connection().endpoint.rpartition(":")[2]) > 0
    assert stat.S_IMODE(service.connection_file.stat().st_mode) == 0o600
    assert read_connection(service.connection_file).pid == service.process.pid
    client = connect(service)
    client.hello()
    opened = client.ask(OpenIdentity(FromSeed(1)))
    client.ask(Synthesize(opened.identity, 0.0, 0.0, {}))
    service.process.send_signal(number)
    assert service.process.wait(LEAVES_S) == 0
    assert not service.connection_file.exists()
    entries = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert {entry["event"] for entry in entries} >= {"serving", "model ready", "left"}
    assert all({"event", "level", "timestamp"} <= entry.keys() for entry in entries)
    assert opened.identity not in service.log.read_text()


def test_who_waits_is_told_when_it_leaves(start, connect):
    service = start()
    client = connect(service)
    client.hello()
    identity = client.ask(OpenIdentity(FromSeed(1))).identity
    waiting = {client.send(Synthesize(identity, float(yaw % 40), 0.0, {}, "final")) for yaw in range(200)}
    last = client.send(Ping())
    while (answered := client.receive()[0]) != last:  # which says that the service has read all of them
        waiting.remove(answered)
    service.process.terminate()
    replies = [client.receive() for _ in waiting]
    assert {reply.code for _, reply in replies if isinstance(reply, Error)} == {"shutting-down"}
    assert service.process.wait(LEAVES_S) == 0


def test_it_leaves_when_its_parent_is_gone(start, connect):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        service = start("--parent-pid", str(parent.pid))
        connect(service).hello()
        parent.kill()
    assert service.process.wait(LEAVES_S) == 0


def test_it_leaves_when_nobody_talks_to_it(start, connect):
    service = start("--idle-exit", "3")
    client = connect(service)
    client.hello()
    for _ in range(6):
        time.sleep(0.7)
        assert isinstance(client.ask(Ping()), Pong)
    assert service.process.wait(LEAVES_S) == 0


def test_a_zombie_is_no_parent(start, connect):
    # A parent that ended and that nobody reaped, as in a container whose first process does not.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        service = start("--parent-pid", str(parent.pid))
        connect(service).hello()
        parent.stdin.close()
        assert service.process.wait(LEAVES_S) == 0


def test_a_signal_while_the_model_loads_ends_it_too(tmp_path, effigy_command):
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time\n"
        "import effigy.service.serve as serve\n"
        "serve.load_face_model = lambda *a, **k: time.sleep(600)\n"
        "from effigy.cli import app\n"
        "sys.argv = ['effigy', *sys.argv[1:]]\n"
        "app()\n"
    )
    path = tmp_path / "connection.json"
    with subprocess.Popen([sys.executable, slow, "serve", "--connection-file", path]) as process:
        end = time.monotonic() + LEAVES_S
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(LEAVES_S) == 0
    assert not path.exists()


def test_a_connection_file_of_a_backend_that_is_gone_stops_nobody(effigy_command, tmp_path):
    """Its number may belong to another process by now, which started after the file was written: here, this test."""
    path = tmp_path / "effigy" / "connection.json"
    Connection("tcp://127.0.0.1:1", os.getpid(), "0" * 40, "0" * 40).write(path)
    os.utime(path, (0, 0))
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    with subprocess.Popen([effigy_command, "serve"], env=environment, stderr=subprocess.PIPE) as service:
        try:
            end = time.monotonic() + LEAVES_S
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
        f"    if {stuck}: time.sleep(600)\n"
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
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LEAVES_S, check=False)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        "effigy: error: the service failed (MemoryError: this much): please report it, with its log"
    ]
    assert not path.exists()
    (log,) = logs.glob("*.log")
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    failure = next(entry for entry in entries if entry["event"] == "the service failed")
    assert "MemoryError: this much" in failure["exception"]


def test_who_asks_a_service_that_cannot_load_is_told_why_and_so_is_who_started_it(start, connect, tmp_path):
    service = start("--model", str(tmp_path / "none.effigy"), "--log-folder", str(tmp_path / "logs"))
    client = connect(service)
    while (reply := client.ask(Hello("test"))).code == "loading":
        time.sleep(0.01)
    assert reply.code == "failed"
    assert "none.effigy is not a face model" in reply.message
    assert service.process.wait(LEAVES_S) == 3
    (line,) = service.log.read_text().splitlines()
    assert line.startswith("effigy: error: ")
    assert "none.effigy is not a face model" in line
    assert not service.connection_file.exists()


def test_a_model_that_cannot_be_loaded_is_no_success_because_nobody_asked_for_it(start, tmp_path):
    model = tmp_path / "face.effigy"
    model.mkdir()
    (model / "model.json").write_text("{")
    service = start("--model", str(model), "--idle-exit", "0.2")
    assert service.process.wait(LEAVES_S) == 3
    said = service.log.read_text()
    assert str(model) in said
    assert "Traceback" not in said


# Starts services one after another in one process, since what they need takes seconds to import.
START_ALL = """
import json, sys
from effigy.cli import app
for options in json.load(sys.stdin):
    try:
        app(["serve", *options])
    except SystemExit as ended:
        print(f"[ended with {ended.code}]", file=sys.stderr)
"""


def test_what_is_in_the_way_is_named_with_what_to_do(tmp_path):
    """A port in use, what cannot be written, and a backend that lives: in the default place, another, of old."""
    blocked, default = tmp_path / "file", tmp_path / "effigy" / "connection.json"
    free, old = tmp_path / "free.json", tmp_path / "old.json"
    blocked.write_text("")
    Connection("tcp://127.0.0.1:1", os.getpid(), "0" * 40, "0" * 40).write(default)
    old.write_text(json.dumps({"endpoint": "tcp://127.0.0.1:1", "pid": os.getppid(), "protocol": 3}))
    old.chmod(0o600)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases = [
            (("--port", port, "--connection-file", free), (f"port {port}", "--port 0")),
            (("--connection-file", blocked / "connection.json"), ("connection file", "choose another with")),
            (("--log-folder", blocked / "logs"), ("choose another --log-folder",)),
            ((), (f"runs already as process {os.getpid()}", "--connection-file of its own")),
            (("--connection-file", default), (f"runs already as process {os.getpid()}",)),
            (("--connection-file", old), (f"runs already as process {os.getppid()}",)),
        ]
        ran = subprocess.run(
            [sys.executable, "-c", START_ALL],
            input=json.dumps([[str(word) for word in options] for options, _ in cases]),
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=LEAVES_S,
        )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    *said, rest = ran.stderr.split("[ended with 2]\n")
    assert rest == ""
    for (options, parts), line in zip(cases, said, strict=True):
        assert line.splitlines()[-1].startswith("effigy: error: "), options
        for part in parts:
            assert part in line, options
    assert not free.exists()
    assert read_connection(default).pid == os.getpid()
    assert old.exists()
