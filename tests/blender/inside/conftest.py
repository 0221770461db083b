# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that run inside real Blender (the bpy wheel) with the add-on installed from its zip.

tests/blender/test_in_blender.py starts them, one process per Blender version, with EFFIGY_ZIP (the add-on),
EFFIGY_COMMAND (the backend) and BLENDER_USER_RESOURCES (an empty folder) set.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import bpy

# isort: split
import addon_utils  # bpy brings it
import pytest

PACKAGE = "bl_ext.user_default.effigy"
ROOT = Path(__file__).parents[3]


def pytest_configure(config):
    config.addinivalue_line("markers", "newest: Blender's version has no part in it, so that the newest is enough")


def pytest_sessionstart(session):
    bpy.ops.extensions.package_install_files(
        filepath=os.environ["EFFIGY_ZIP"], repo="user_default", enable_on_install=False
    )
    # Not enable_on_install: in module mode 4.2 cannot store preferences.
    assert addon_utils.enable(PACKAGE, default_set=True) is not None, "the add-on cannot be enabled"


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    # Handlers still registered at exit crash 4.2 and hang 4.5, so unregister, and skip Blender's own exit.
    addon_utils.disable(PACKAGE)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(config.stash.get(STATUS, 1))


STATUS = pytest.StashKey[int]()


def pytest_sessionfinish(session, exitstatus):
    session.config.stash[STATUS] = int(exitstatus)


def addon(name):
    """A module of the installed add-on, for instance addon("blender.pictures.session").session."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def ensure_open(proxy):
    """The service's key of a face's identity, opened if need be, waited for."""
    runs, session = addon("blender.pictures.runs"), addon("blender.pictures.session").session
    return follower_of(proxy).face.open_now(session.ensure_ready(), runs.anchor_of(proxy))


def stale_of(proxy):
    """What its baked picture was found to have another of."""
    return addon("blender.pictures.stale").parts(proxy)


def follower_of(proxy):
    """What this run of Blender knows of a face's picture."""
    return addon("blender.pictures.runs").run_of(proxy).follower


class Preferences:
    """The add-on's preferences, looked up at every access: a file load may free those kept from before."""

    def __getattr__(self, name):
        return getattr(bpy.context.preferences.addons[PACKAGE].preferences, name)

    def __setattr__(self, name, value):
        setattr(bpy.context.preferences.addons[PACKAGE].preferences, name, value)


@pytest.fixture(scope="session")
def preferences():
    """Returns the add-on's preferences, set to the backend under test."""
    chosen = Preferences()
    chosen.command, chosen.model = os.environ["EFFIGY_COMMAND"], "first-default"  # whose figures tests know
    chosen.head_height = 2.6  # a head unit is a metre
    chosen.matte, chosen.sharpen = "NONE", False  # the picture as it was painted, of which tests compare the bytes
    return chosen


@pytest.fixture()
def scene(tmp_path):
    """Makes an empty scene in a .blend of its own, set up for small, exact renders."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.frame_start, scene.frame_end = 1, 4
    scene.render.filepath = str(tmp_path / "render_")
    scene.render.image_settings.file_format = "PNG"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    addon("blender.pictures.runs").runs.memory.clear()  # pictures of other tests' faces
    return scene


@pytest.fixture(scope="session")
def backend(preferences):
    """Starts a real backend through the add-on, as an artist does."""
    assert bpy.ops.effigy.connect() == {"FINISHED"}
    session = addon("blender.pictures.session").session
    session.ensure_ready()
    yield session
    if session.link is not None:
        bpy.ops.effigy.disconnect()
    session.shut_down()


@pytest.fixture()
def killable(backend):
    """Returns the session's backend for a test that kills it; another one is there afterwards."""
    yield backend
    if not backend.is_ready:
        if backend.link is not None:
            bpy.ops.effigy.disconnect()
        bpy.ops.effigy.connect()
        backend.ensure_ready()


@pytest.fixture(scope="module")
def serve(backend, preferences):
    """Starts the backend anew with another Model, as the preferences name it, for the rest of a module."""
    before = preferences.model

    def start(model):
        if model == preferences.model and backend.is_ready:
            return
        bpy.ops.effigy.disconnect()
        preferences.model = model
        assert bpy.ops.effigy.connect() == {"FINISHED"}
        backend.ensure_ready()

    yield start
    start(before)


@pytest.fixture(scope="session")
def planes(tmp_path_factory):
    """A bundle whose generator paints alpha, normals and depth beside the first default's colours."""
    folder = tmp_path_factory.mktemp("planes") / "planes.effigy"
    python = Path(os.environ["EFFIGY_COMMAND"]).with_name("python")
    subprocess.run([python, "-m", "tests.planes_bundle", "first-default", folder], cwd=ROOT, check=True)
    return folder


@pytest.fixture()
def nothing_waits(monkeypatch, face):
    """Fails where anything waits for the backend from here on, as nothing may on Blender's own thread in a window."""
    from effigy_client.link import Link  # which the add-on has brought by now

    def refuse(*_):
        raise AssertionError("Blender stands still meanwhile")

    for name in ("wait", "wait_ready"):
        monkeypatch.setattr(Link, name, refuse)


@pytest.fixture()
def face(scene, backend):
    """Adds a face to the scene, seen by its own camera."""
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    proxy = bpy.context.active_object
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    return proxy


@pytest.fixture()
def settle():
    """Runs the preview's timer by hand (timers never fire in the wheel) until the picture is up to date."""

    def run(seconds=300.0):
        preview = addon("blender.pictures.preview")
        end = time.monotonic() + seconds
        quiet = 0
        while quiet < 5:
            assert time.monotonic() < end, "the preview does not come to rest"
            preview.tick()
            scene = bpy.context.scene
            waiting = preview.is_busy([obj for obj in scene.objects if obj.effigy.is_face])
            quiet = 0 if waiting else quiet + 1
            time.sleep(0.005)

    return run
