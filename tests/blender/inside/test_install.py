# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Backend in real Blender: its own Python makes the environment; small wheels stand for the real ones."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest
from conftest import addon

sys.path.append(str(Path(__file__).parents[2] / "client"))
from wheels import DOCTOR, write_wheel


@pytest.fixture()
def apart(preferences):
    """No backend, and the preferences as they were afterwards."""
    session, before = addon("blender.pictures.session").session, preferences.command
    if session.link is not None:
        bpy.ops.effigy.disconnect()
    yield preferences
    preferences.command = before
    addon("blender.ui.install").running = None  # its failure is no other test's


@pytest.fixture()
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_wheel(folder, "torch", "2.7.0", "")
    return write_wheel(
        folder, "effigy_faces", "9.0", DOCTOR, needs="Requires-Dist: torch\n", script="effigy = effigy_faces:app"
    )


def test_a_backend_is_installed_and_removed_without_a_network(apart, wheels, tmp_path):
    there = {"folder": str(tmp_path / "here"), "flavour": "cpu"}
    done = bpy.ops.effigy.install_backend(**there, file=str(wheels), offline=str(wheels.parent))
    assert done == {"FINISHED"}
    ran = subprocess.run([apart.command, "doctor"], capture_output=True, text=True, timeout=300)
    assert ran.stdout == "all is well ['doctor']\n"
    assert Path(apart.command).is_relative_to(tmp_path / "here")
    assert told_of_update(apart.command, wheels) is None
    newer = write_wheel(wheels.parent, "effigy_faces", "9.1", DOCTOR)
    folder, said = told_of_update(apart.command, newer)
    assert folder == there["folder"]
    assert said == "The installed backend (9.0) is not the one of this add-on (9.1)"
    assert bpy.ops.effigy.remove_backend(folder=there["folder"]) == {"FINISHED"}
    assert not (tmp_path / "here").exists()
    assert apart.command == "effigy"


def told_of_update(command, wheel):
    """What the panel offers where this wheel belongs to the add-on."""
    module, data = addon("blender.ui.install"), wheel.read_bytes()
    said = {"name": wheel.name, "version": wheel.name.split("-")[1], "size": len(data), "address": ""}
    described = Path(module.__file__).parents[2] / "backend.json"
    described.write_text(json.dumps({**said, "sha256": hashlib.sha256(data).hexdigest()}))
    module._of_another_release.cache_clear()
    try:
        return module._of_another_release(command)
    finally:
        described.unlink()
        module._of_another_release.cache_clear()


@pytest.mark.newest
def test_without_online_access_nothing_is_fetched(apart, wheels, tmp_path):
    assert not bpy.app.online_access
    with pytest.raises(RuntimeError, match="Blender may not go online: allow it in Preferences"):
        bpy.ops.effigy.install_backend(folder=str(tmp_path / "here"), file=str(wheels))
    assert not (tmp_path / "here").exists()


@pytest.mark.newest
def test_an_add_on_without_a_release_asks_for_the_backend_s_file(apart, tmp_path):
    with pytest.raises(RuntimeError, match=r"choose the backend's \.whl file"):
        bpy.ops.effigy.install_backend(folder=str(tmp_path / "here"))


@pytest.mark.newest
def test_what_goes_wrong_is_said_and_the_command_stays(apart, wheels, tmp_path):
    apart.command = "mine"
    os.remove(wheels.parent / "torch-2.7.0-py3-none-any.whl")
    with pytest.raises(RuntimeError, match="PyTorch cannot be installed: ERROR: (No matching|ResolutionImpossible)"):
        bpy.ops.effigy.install_backend(
            folder=str(tmp_path / "b"), flavour="cpu", file=str(wheels), offline=str(wheels.parent)
        )
    assert apart.command == "mine"
    with pytest.raises(RuntimeError, match="Nothing is installed in"):
        bpy.ops.effigy.remove_backend(folder=str(tmp_path))


@pytest.mark.newest
def test_nothing_starts_the_backend_while_it_is_removed(apart, wheels, tmp_path, monkeypatch):
    """A bake would start what is half removed. In a background run the operator waits, so it is asked meanwhile."""
    there = {"folder": str(tmp_path / "here"), "flavour": "cpu"}
    bpy.ops.effigy.install_backend(**there, file=str(wheels), offline=str(wheels.parent))
    module, said = addon("blender.ui.install"), []

    class Asked(module.Removal):
        def wait(self, seconds=None):
            for starts in (bpy.ops.effigy.connect, bpy.ops.effigy.install_backend, session.ensure_ready):
                with pytest.raises(Exception, match="Wait until the backend is installed, or removed") as refused:
                    starts()
                said.append(refused.value)
            return super().wait(seconds)

    session = addon("blender.pictures.session").session
    monkeypatch.setattr(module, "Removal", Asked)
    assert bpy.ops.effigy.remove_backend(folder=there["folder"]) == {"FINISHED"}
    assert len(said) == 3
    assert not session.held
    assert bpy.ops.effigy.connect.poll()
