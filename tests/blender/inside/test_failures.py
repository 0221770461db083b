# SPDX-License-Identifier: GPL-3.0-or-later
"""A dead or refused backend: Blender goes on, and nobody takes an old picture for a new one."""

from __future__ import annotations

import os
import signal
import time

import bpy
import numpy as np
import pytest
from conftest import addon
from helpers import pixels
from test_preview import error_pixels


@pytest.fixture()
def killable(backend):
    """The session's backend, to be killed; another one is started afterwards."""
    session = addon("blender.session")
    yield session
    bpy.ops.effigy.disconnect()
    bpy.ops.effigy.connect()
    session.ensure_ready()


def test_a_killed_backend_puts_the_error_picture_on_the_plate(scene, face, settle, killable):
    settle()
    assert (pixels(face.effigy.image) != error_pixels(face)).any()
    os.kill(killable.state.backend.pid, signal.SIGKILL)
    started = time.monotonic()
    while not killable.run_of(face).problem:
        assert time.monotonic() - started < 10, "the loss is not noticed"
        before = time.perf_counter()
        addon("blender.preview").tick()
        assert time.perf_counter() - before < 0.2
        time.sleep(0.01)
    np.testing.assert_array_equal(pixels(face.effigy.image), error_pixels(face))
    link = killable.link()
    assert link.phase.value in ("lost", "refused")
    assert "start the backend" in link.hint


def test_a_restarted_backend_brings_the_face_back(scene, face, settle, killable):
    settle()
    before = pixels(face.effigy.image)
    os.kill(killable.state.backend.pid, signal.SIGKILL)
    while not killable.run_of(face).problem:
        addon("blender.preview").tick()
        time.sleep(0.01)
    bpy.ops.effigy.disconnect()
    bpy.ops.effigy.connect()
    killable.ensure_ready()
    settle()
    np.testing.assert_array_equal(pixels(face.effigy.image), before)


def test_a_final_after_a_restart_opens_the_identity_again(scene, face, settle, killable):
    settle()
    # As after a restart that nobody noticed: the key is of another life of the service.
    killable.run_of(face).identity = "0123456789abcdef"
    bake = addon("blender.bake")
    frames = list(bake.bake_frames(face, scene))
    assert len(frames) == 4


def test_a_missing_command_is_named_with_what_to_do(scene, preferences):
    bpy.ops.effigy.disconnect()
    command, preferences.command = preferences.command, "/nowhere/effigy"
    try:
        with pytest.raises(RuntimeError, match=r"no backend command '/nowhere/effigy'.*preferences"):
            bpy.ops.effigy.connect()
    finally:
        preferences.command = command
        bpy.ops.effigy.connect()
        addon("blender.session").ensure_ready()


def test_a_backend_that_cannot_load_its_model_says_why(scene, preferences):
    session = addon("blender.session")
    bpy.ops.effigy.disconnect()
    command = preferences.command
    script = f"{bpy.path.abspath('//')}effigy-without-model"
    with open(script, "w") as file:
        file.write(f'#!/bin/sh\nexec "{command}" "$@" --model /nowhere.effigy\n')
    os.chmod(script, 0o755)
    preferences.command = script
    try:
        bpy.ops.effigy.connect()
        client = addon("core.client")
        with pytest.raises(client.RequestError, match=r"/nowhere\.effigy is not a face model"):
            session.ensure_ready()
    finally:
        bpy.ops.effigy.disconnect()
        preferences.command = command
        bpy.ops.effigy.connect()
        session.ensure_ready()


def test_a_proxy_hidden_from_renders_is_refused_and_not_frozen(scene, face):
    # A hidden object is not animated by a render; the face would stand still without a word.
    face.hide_render = True
    reader = addon("blender.scene_reader")
    seen = []

    def look(scene, depsgraph):
        with pytest.raises(reader.UnreadableError, match="hidden"):
            reader.read_face(face, scene, depsgraph)
        seen.append(scene.frame_current)

    render_frame = addon("blender.render").render_frame
    addon("blender.render").render_frame = look
    try:
        scene.frame_end = 1
        bpy.ops.render.render(animation=True)
    finally:
        addon("blender.render").render_frame = render_frame
    assert seen == [1]


def test_a_bake_that_fails_keeps_what_is_written_and_leaves_nothing_half_written(scene, face, settle, killable):
    folder = addon("blender.bake").folder_of(face)
    frames = addon("blender.bake").bake_frames(face, scene)
    next(frames)
    os.kill(killable.state.backend.pid, signal.SIGKILL)
    with pytest.raises(addon("core.client").RequestError):
        list(frames)
    assert [path.name for path in sorted(folder.iterdir())] == [f"{folder.name}_0001.png"]
    assert face.effigy.source == "LIVE"


def test_baking_an_unsaved_file_is_refused_with_a_reason(scene, face):
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert not bpy.ops.effigy.bake.poll()
