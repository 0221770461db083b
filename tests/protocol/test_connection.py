# SPDX-License-Identifier: Apache-2.0
"""The connection file."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, replace

import pytest

from effigy_protocol import PROTOCOL_VERSION
from effigy_protocol.connection import (
    Connection,
    ConnectionFileError,
    OtherVersionError,
    read_connection,
    remove_connection,
)

KEYS = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"  # of Z85's RFC 32
CONNECTION = Connection("tcp://127.0.0.1:4000", 123, *KEYS)


def test_a_written_file_reads_back_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "deep" / "connection.json"
    CONNECTION.write(path)
    assert read_connection(path) == CONNECTION
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_writing_replaces_an_older_file(tmp_path):
    path = tmp_path / "connection.json"
    Connection("tcp://127.0.0.1:1", 1, *KEYS).write(path)
    CONNECTION.write(path)
    assert read_connection(path) == CONNECTION


def test_what_a_killed_service_of_the_same_number_left_is_no_hindrance(tmp_path):
    path, left = tmp_path / "connection.json", tmp_path / f"connection.json.{os.getpid()}"
    left.write_text("half")
    left.chmod(0o644)
    CONNECTION.write(path)
    assert read_connection(path) == CONNECTION
    assert os.listdir(tmp_path) == [path.name]


def test_a_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "connection.json"
    CONNECTION.write(path)
    path.chmod(0o644)
    with pytest.raises(ConnectionFileError, match="chmod 600"):
        read_connection(path)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"endpoint": 1, "pid": 2, "protocol": 1}', "x" * 20000])
def test_anything_else_is_not_a_connection_file(tmp_path, text):
    path = tmp_path / "connection.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConnectionFileError, match="not a connection file"):
        read_connection(path)


@pytest.mark.parametrize(
    "endpoint", ["nonsense", "http://127.0.0.1:80", "tcp://127.0.0.1", "ipc:///tmp/x", "tcp://:1", "tcp://\ud800:1"]
)
def test_an_endpoint_that_is_none_is_named(tmp_path, endpoint):
    path = tmp_path / "connection.json"
    Connection(endpoint, 1, *KEYS).write(path)
    with pytest.raises(ConnectionFileError, match="tcp://host:port"):
        read_connection(path)


def test_a_missing_file_says_to_start_the_backend(tmp_path):
    with pytest.raises(ConnectionFileError, match="start the backend"):
        read_connection(tmp_path / "none.json")


def test_only_the_service_that_wrote_a_file_removes_it(tmp_path):
    path = tmp_path / "connection.json"
    CONNECTION.write(path)
    remove_connection(path, pid=999)
    assert path.exists()
    remove_connection(path, pid=123)
    assert not path.exists()
    remove_connection(path, pid=123)


@pytest.mark.parametrize(("version", "older"), [(3, "update the backend"), (PROTOCOL_VERSION + 1, "update the client")])
def test_a_file_of_another_version_says_which_side_to_update(tmp_path, version, older):
    path = tmp_path / "connection.json"
    path.write_text(json.dumps({"endpoint": "tcp://127.0.0.1:1", "pid": 7, "protocol": version}))
    path.chmod(0o600)
    with pytest.raises(OtherVersionError, match=older) as caught:
        read_connection(path)
    assert caught.value.pid == 7


@pytest.mark.parametrize("name", ["service_key", "client_key"])
@pytest.mark.parametrize("key", [None, "", "0" * 39, "0" * 41, "é" * 40, "\ud800" * 40, "0" * 39 + " ", 7])
def test_a_key_that_is_none_is_refused_and_never_shown(tmp_path, name, key):
    path = tmp_path / "connection.json"
    path.write_text(json.dumps({**asdict(CONNECTION), name: key}))
    path.chmod(0o600)
    with pytest.raises(ConnectionFileError, match="not a connection file"):
        read_connection(path)
    assert not any(secret in repr(CONNECTION) for secret in KEYS)


@pytest.mark.parametrize("pid", [0, -1, 2**32, 2**70, 1.0, True])
def test_a_process_number_that_is_none_is_refused(tmp_path, pid):
    path = tmp_path / "connection.json"
    replace(CONNECTION, pid=pid).write(path)
    with pytest.raises(ConnectionFileError, match="not a connection file"):
        read_connection(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "connection.json"
    os.mkfifo(path, 0o600)
    with pytest.raises(ConnectionFileError, match="not a file"):
        read_connection(path)


def test_the_file_of_a_backend_on_another_machine_stays(tmp_path):
    path = tmp_path / "connection.json"
    replace(CONNECTION, machine="elsewhere").write(path)
    remove_connection(path, CONNECTION.pid)
    assert path.exists()
