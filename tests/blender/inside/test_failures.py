# SPDX-License-Identifier: GPL-3.0-or-later
"""With a dead or refused backend Blender goes on, and no old picture passes for a new one."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from conftest import addon, follower_of
from helpers import give_ups, pixels, swing
from test_preview import error_pixels

import effigy_client.errors
import effigy_client.sequence


@pytest.mark.newest
def test_a_killed_backend_puts_the_error_picture_on_the_plate(scene, face, settle, killable, nothing_waits):
    settle()
    assert (pixels(face.effigy.image) != error_pixels(face)).any()
    os.kill(killable.provision.pid, signal.SIGKILL)
    started = time.monotonic()
    while not follower_of(face).problem:
        assert time.monotonic() - started < 300, "the loss is not noticed"
        addon("blender.pictures.preview").tick()
        time.sleep(0.01)
    np.testing.assert_array_equal(pixels(face.effigy.image), error_pixels(face))
    state = killable.state
    assert state.phase.value in ("lost", "refused")
    assert "start the backend" in state.hint


@pytest.mark.newest
def test_a_restarted_backend_brings_the_face_back(scene, face, settle, killable):
    settle()
    before = pixels(face.effigy.image)
    os.kill(killable.provision.pid, signal.SIGKILL)
    while not follower_of(face).problem:
        addon("blender.pictures.preview").tick()
        time.sleep(0.01)
    bpy.ops.effigy.disconnect()
    bpy.ops.effigy.connect()
    killable.ensure_ready()
    settle()
    np.testing.assert_array_equal(pixels(face.effigy.image), before)


@pytest.mark.newest
def test_a_final_after_a_restart_opens_the_identity_again(scene, face, settle, killable):
    settle()
    # As after a restart that was not noticed: the key belongs to the service before it.
    follower_of(face).face.key = "0123456789abcdef"
    bake = addon("blender.pictures.bake")
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    assert len(list(bake.folder_of(face).glob("*.png"))) == 4


@pytest.mark.newest
def test_a_missing_command_is_named_with_what_to_do(scene, preferences):
    bpy.ops.effigy.disconnect()
    command, preferences.command = preferences.command, "/nowhere/effigy"
    try:
        with pytest.raises(RuntimeError, match=r"no backend command '/nowhere/effigy'.*preferences"):
            bpy.ops.effigy.connect()
    finally:
        preferences.command = command
        bpy.ops.effigy.connect()
        addon("blender.pictures.session").session.ensure_ready()


@pytest.mark.newest
def test_a_backend_that_cannot_load_its_model_says_why(scene, preferences):
    session = addon("blender.pictures.session").session
    bpy.ops.effigy.disconnect()
    command = preferences.command
    script = f"{bpy.path.abspath('//')}effigy-without-model"
    with open(script, "w") as file:
        file.write(f'#!/bin/sh\nexec "{command}" "$@" --model /nowhere.effigy\n')
    os.chmod(script, 0o755)
    preferences.command = script
    try:
        bpy.ops.effigy.connect()
        with pytest.raises(effigy_client.errors.RequestError, match=r"/nowhere\.effigy is not a face model"):
            session.ensure_ready()
    finally:
        bpy.ops.effigy.disconnect()
        preferences.command = command
        bpy.ops.effigy.connect()
        session.ensure_ready()


@pytest.mark.parametrize("hide", ["viewport", "eye", "both", "excluded", "collection"])
def test_a_hidden_proxy_still_moves(scene, face, settle, hide):
    # Blender does not animate hidden objects: a naive add-on would render a frozen face.
    from helpers import key, render

    settle()
    swing(face, scene, 25)
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    expected = render(scene)
    assert len({frame.tobytes() for frame in expected}) == 4
    alone = bpy.data.collections.new("Alone")
    scene.collection.children.link(alone)
    home = face.users_collection[0]
    alone.objects.link(face)
    home.objects.unlink(face)
    layer = bpy.context.view_layer.layer_collection.children["Alone"]
    {
        "viewport": lambda: setattr(face, "hide_viewport", True),
        "eye": lambda: face.hide_set(True),
        "both": lambda: (setattr(face, "hide_viewport", True), setattr(face, "hide_render", True)),
        "excluded": lambda: setattr(layer, "exclude", True),
        "collection": lambda: setattr(alone, "hide_render", True),
    }[hide]()
    np.testing.assert_array_equal(render(scene), expected)


def test_a_proxy_that_nothing_keeps_animated_ends_the_render(scene, face, settle, monkeypatch):
    settle()
    face.effigy.plate.constraints.clear()
    said = give_ups(monkeypatch)
    scene.frame_end = 1
    bpy.ops.render.render(animation=True)
    assert len(said) == 1
    assert "hidden" in said[0]


def break_latent(scene, face):
    face.effigy.latent = "no base64!"


def break_image(scene, face):
    bpy.data.images.remove(face.effigy.image)


def resize_image(scene, face):
    face.effigy.image.scale(64, 64)


def save_image(scene, face):
    image = face.effigy.image
    image.filepath_raw = f"{bpy.path.abspath('//')}saved.png"
    image.file_format = "PNG"
    image.save()
    image.source = "FILE"


@pytest.mark.parametrize("damage", [break_latent, break_image, resize_image, save_image])
def test_whatever_is_broken_ends_the_render_and_never_freezes_it(scene, face, settle, monkeypatch, damage):
    settle()
    damage(scene, face)
    said = give_ups(monkeypatch)
    bpy.ops.render.render(animation=True)
    assert len(said) == 4, said
    addon("blender.pictures.preview").look()


def test_a_scene_camera_that_is_none_ends_the_render(scene, face, settle, monkeypatch):
    # Blender lets any object be the camera, and 5.2 crashes when it renders through one: we must stop it before.
    settle()
    empty = bpy.data.objects.new("Not a camera", None)
    scene.collection.objects.link(empty)
    scene.camera = empty
    said = give_ups(monkeypatch)
    addon("blender.pictures.render").render_frame(scene, bpy.context.evaluated_depsgraph_get())
    assert len(said) == 1
    assert "has no camera" in said[0]


def test_an_unforeseen_error_ends_the_render_too(scene, face, settle, monkeypatch, capfd):
    settle()
    said = give_ups(monkeypatch)

    def fail(*_):
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(addon("blender.pictures.render"), "read_face", fail)
    scene.frame_end = 1
    bpy.ops.render.render(animation=True)
    assert said == ["ZeroDivisionError: unforeseen"]
    np.testing.assert_array_equal(pixels(face.effigy.image), error_pixels(face))


def test_an_instanced_live_face_is_refused_before_the_render(scene, face, settle, monkeypatch):
    settle()
    instance = bpy.data.objects.new("Instance", None)
    instance.instance_type, instance.instance_collection = "COLLECTION", face.users_collection[0]
    scene.collection.objects.link(instance)
    said = give_ups(monkeypatch)
    scene.frame_end = 1
    bpy.ops.render.render(animation=True)
    assert "instances a collection with a live face" in said[0]


def test_a_face_that_no_view_shows_does_not_stop_a_render(scene, face, settle, monkeypatch):
    settle()
    said = give_ups(monkeypatch)
    bpy.context.view_layer.layer_collection.children[0].exclude = True
    scene.frame_end = 1
    bpy.ops.render.render(animation=True)
    assert said == []


def test_hiding_and_showing_a_proxy_brings_its_picture_back(scene, face, settle):
    settle()
    before = pixels(face.effigy.image)
    face.hide_viewport = True
    bpy.context.view_layer.update()
    settle()
    face.hide_viewport = False
    bpy.context.view_layer.update()
    settle()
    np.testing.assert_array_equal(pixels(face.effigy.image), before)


def test_a_duplicated_proxy_gets_a_plate_of_its_own(scene, face, settle):
    settle()
    before = pixels(face.effigy.image)
    copy = face.copy()
    copy.data = face.data.copy()
    face.users_collection[0].objects.link(copy)
    copy.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    copy.location.x += 4
    bpy.context.view_layer.update()
    settle()
    assert copy.effigy.plate != face.effigy.plate
    assert copy.effigy.image != face.effigy.image
    np.testing.assert_array_equal(pixels(face.effigy.image), before)
    assert (pixels(copy.effigy.image) != before).any()


def test_a_large_and_distant_head_comes_to_rest(scene, face, settle):
    face.scale = (37.3, 37.3, 37.3)
    face.location = (1234.5, -987.6, 321.0)
    bpy.context.view_layer.update()
    settle()
    for _ in range(3):
        assert addon("blender.pictures.preview").look() >= 0.1


def test_persistent_data_does_not_keep_the_first_picture(scene, face):
    from helpers import render

    scene.render.use_persistent_data = True
    swing(face, scene, 25)
    frames = render(scene)
    assert len({frame.tobytes() for frame in frames}) == len(frames)
    assert scene.render.use_persistent_data, "the user's setting is not restored"


def test_a_renders_thread_leaves_settings_to_the_windows(scene, face, monkeypatch):
    """Blender frees what it kept, and waits for the window's drawing: with Python's lock, in a panel, for good."""
    handlers, preview = addon("blender.handlers"), addon("blender.pictures.preview")
    settings = scene.render
    settings.use_persistent_data = True

    def in_a_thread(work, *arguments, seconds=0.3):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        thread.join(seconds)  # long enough to write what it should not
        return thread

    before = settings.use_lock_interface
    began = in_a_thread(handlers.on_render_start, scene)
    assert began.is_alive(), "it does not wait"
    assert (settings.use_persistent_data, settings.use_lock_interface) == (True, before)
    preview.tick()
    began.join(5)
    assert not began.is_alive()
    assert not settings.use_persistent_data
    assert not in_a_thread(handlers.on_render_end).is_alive(), "the window may be waiting for its end"
    assert not settings.use_persistent_data
    preview.tick()
    assert settings.use_persistent_data, "the user's setting is not restored"
    monkeypatch.setattr(addon("blender.pictures.render"), "_WINDOW_S", 0.0)
    said = give_ups(monkeypatch)
    in_a_thread(handlers.on_render_start, scene, seconds=5)
    assert [line for line in said if "Persistent Data keeps the first picture" in line], "no silent frozen picture"
    handlers.on_render_end()
    preview.tick()
    assert settings.use_persistent_data, "a window that comes too late leaves it"


@pytest.mark.parametrize("persistent", [False, True])
def test_a_render_that_begins_before_settings_are_restored_finds_them_off_too(scene, face, persistent):
    handlers, preview = addon("blender.handlers"), addon("blender.pictures.preview")
    scene.render.use_persistent_data = persistent
    handlers.on_render_start(scene)
    ended = threading.Thread(target=handlers.on_render_end)
    ended.start()
    ended.join(5)
    handlers.on_render_start(scene)
    preview.tick()
    assert not scene.render.use_persistent_data
    handlers.on_render_end()
    assert scene.render.use_persistent_data == persistent


def test_scrubbing_in_the_window_paints_nothing_into_a_render(scene, face, settle):
    swing(face, scene, 25)
    scene.frame_set(1)
    settle()
    shown = pixels(face.effigy.image)
    handlers = addon("blender.handlers")
    handlers.on_render_start(scene)
    try:
        scene.frame_set(4)
        np.testing.assert_array_equal(pixels(face.effigy.image), shown)
    finally:
        handlers.on_render_end()
    settle()
    assert (pixels(face.effigy.image) != shown).any()


def test_a_render_that_connects_by_itself_starts_the_preview(scene, backend):
    import bpy.app

    bpy.ops.effigy.disconnect()
    preview = addon("blender.pictures.preview")
    if bpy.app.timers.is_registered(preview.tick):
        bpy.app.timers.unregister(preview.tick)
    addon("blender.pictures.session").session.ensure_ready()
    assert bpy.app.timers.is_registered(preview.tick)


def test_a_file_that_was_open_before_the_add_on_gets_a_timer_without_a_backend(scene, face):
    """F12 asks the window's thread for what the timer does."""
    handlers, preview = addon("blender.handlers"), addon("blender.pictures.preview")
    handlers.unregister()
    bpy.app.timers.unregister(preview.tick)
    handlers.register()
    assert bpy.app.timers.is_registered(handlers.look_for_faces)
    handlers.look_for_faces()
    assert preview.is_running()


def test_a_preview_asked_before_a_render_is_not_shown_after_it(scene, face, settle):
    settle()
    preview = addon("blender.pictures.preview")
    run = follower_of(face)
    face.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    preview.look()  # asks
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.0
    bpy.context.view_layer.update()
    scene.frame_end = 1
    bpy.ops.render.render(animation=True)
    rendered = pixels(face.effigy.image)
    settle()
    assert run.shown.controls == ()
    np.testing.assert_array_equal(pixels(face.effigy.image), rendered)


@pytest.mark.parametrize("outcome", [{"FINISHED"}, None, RuntimeError("the scene is odd")])
def test_work_beside_the_window_is_ended_however_it_ends(outcome, capsys):
    """An operator that Blender ends while its timer goes on would be looked at for ever."""
    ended, said = [], []

    def look(context):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    work = SimpleNamespace(
        bl_label="Work", look=look, cancel=ended.append, report=lambda kind, text: said.append((kind, text))
    )
    result = addon("blender.ui.operator").WatchingOperator.modal(work, "context", SimpleNamespace(type="TIMER"))
    if outcome is None:
        assert result == {"PASS_THROUGH"}
        assert not ended
        return
    assert ended == ["context"]
    assert result == ({"CANCELLED"} if isinstance(outcome, Exception) else outcome)
    assert said == ([({"ERROR"}, "Work stopped: RuntimeError: the scene is odd")] if result == {"CANCELLED"} else [])
    assert ("Traceback" in capsys.readouterr().err) == bool(said)
