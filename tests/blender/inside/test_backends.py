# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends that hang, do not start or are gone; and which identities a backend keeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest
from conftest import addon, follower_of
from helpers import bake_while_struck, swing

import effigy_client.errors
import effigy_client.exchange
import effigy_client.link
import effigy_client.processes
import effigy_client.provision
import effigy_protocol.connection
import effigy_protocol.messages

pytestmark = pytest.mark.newest


def test_a_bake_goes_on_when_its_backend_hangs(scene, face, settle, killable, monkeypatch):
    monkeypatch.setattr(effigy_client.exchange, "_SILENCE_S", 5.0)
    settle()
    folder, pid = bake_while_struck(scene, face, killable, monkeypatch, 10, signal.SIGSTOP)
    assert len(list(folder.glob("*.png"))) == 40
    assert len(json.loads((folder / "frames.json").read_text())["frames"]) == 40
    killable.reap()
    assert not effigy_client.processes.is_alive(pid)


@pytest.mark.parametrize("fails_at", [1, 4])
def test_a_bake_that_stops_counts_the_frames_that_are_written(scene, face, settle, monkeypatch, fails_at):
    settle()
    swing(face, scene, 20)
    scene.frame_end = 30
    bake = addon("blender.pictures.bake")
    write = bake.write_whole

    def write_some(path, content):
        if path.name.endswith(f"_{fails_at:04d}.png"):
            raise OSError(28, "No space left on device", str(path))
        write(path, content)

    monkeypatch.setattr(bake, "write_whole", write_some)
    with pytest.raises(RuntimeError, match=f"Bake stopped after {fails_at - 1} frames: there is no room"):
        bpy.ops.effigy.bake()
    assert len(list(bake.folder_of(face).glob("*.png"))) == fails_at - 1


@pytest.fixture()
def look_for():
    """Returns what a client is told when it looks for the backend of a connection file, or for one being started."""

    def run(path, backend=None):
        looking = effigy_client.link.Link(backend or effigy_client.provision.RunningBackend(path), "test")
        try:
            with pytest.raises(effigy_client.errors.RequestError) as caught:
                looking.wait_ready(300)
        finally:
            looking.close()
        return str(caught.value)

    return run


def test_a_backend_that_does_not_start_says_its_reason_and_not_the_border_of_a_box(preferences, look_for, tmp_path):
    backend = effigy_client.provision.LocalBackend(f"{preferences.command} --verbos", tmp_path)
    told = look_for(backend.connection_file, backend)
    assert "the backend ended with code 2: " in told
    assert "No such option: --verbos" in told


def test_a_backend_that_is_gone_is_not_waited_for(look_for, tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    path, endpoint = tmp_path / "connection.json", "tcp://127.0.0.1:9"
    effigy_protocol.connection.Connection(endpoint, dead.pid, "0" * 40, "0" * 40).write(path)
    assert f"(process {dead.pid}) has ended" in look_for(path)
    path.write_text(json.dumps({"endpoint": endpoint, "pid": os.getpid(), "protocol": 3}))
    told = look_for(path)
    assert "update the backend" in told
    assert "stop the backend, update what is older, and start the backend again" in told


def open_identities():
    session = addon("blender.pictures.session").session
    return session.ensure_ready().link.call(effigy_protocol.messages.Status(), 300).identities


def wait_for_identities(count):
    end = time.monotonic() + 300
    while (now := open_identities()) != count:
        assert time.monotonic() < end, f"{now} identities are open"
        addon("blender.pictures.preview").look()
        time.sleep(0.02)


def test_identities_are_released_when_a_face_changes_or_goes(scene, face, settle):
    settle()
    wait_for_identities(1)
    for seed in range(30, 36):
        bpy.ops.effigy.change_identity(seed=seed)
        bpy.context.view_layer.update()
        settle()
    wait_for_identities(1)
    bpy.ops.effigy.add_face(seed=50)
    bpy.context.view_layer.update()
    settle()
    wait_for_identities(2)
    other = bpy.context.active_object
    bpy.data.objects.remove(other)  # as a script, or Delete, does it
    bpy.context.view_layer.update()
    settle()
    wait_for_identities(1)
    assert list(addon("blender.pictures.runs").runs.names()) == [addon("blender.scene.queries").name_of(face)]


def test_an_identity_that_two_faces_share_stays_open_while_one_of_them_is_there(scene, face, settle):
    bpy.ops.effigy.add_face(seed=4)
    bpy.context.view_layer.update()
    settle()
    wait_for_identities(1)
    bpy.ops.effigy.remove_face()
    bpy.context.view_layer.update()
    settle()
    wait_for_identities(1)
    assert follower_of(face).problem == ""


def test_the_log_and_what_a_backend_prints_are_its_owners_alone(scene, backend):
    folder = Path(backend.provision.folder)
    files = [path for path in folder.iterdir() if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
