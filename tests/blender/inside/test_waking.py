# SPDX-License-Identifier: GPL-3.0-or-later
"""The preview rests when nothing changes, wakes when something does, and shows what it remembers."""

from __future__ import annotations

import itertools
import time

import bpy
import numpy as np
import pytest
from conftest import PACKAGE, addon, follower_of, stale_of
from helpers import key, look, pixels


def sleep(settle):
    """Lets the preview come to rest, and the timer with it."""
    settle()
    preview = addon("blender.pictures.preview")
    for _ in range(100):
        if 0.1 < preview.tick() < 1.0:  # a second: an exception
            return preview
    raise AssertionError("the preview never rests")


def test_a_resting_preview_does_not_look_at_the_scene(scene, face, settle, monkeypatch):
    preview = sleep(settle)
    monkeypatch.setattr(preview, "known_faces", lambda scene: pytest.fail("it looked"))
    for _ in range(20):
        assert 0.1 < preview.tick() < 1.0


@pytest.mark.parametrize("source", ["LIVE", "BAKED"])
def test_without_a_backend_nobody_looks_at_an_unchanged_scene(scene, face, settle, monkeypatch, source):
    if source == "BAKED":
        assert bpy.ops.effigy.bake() == {"FINISHED"}
    preview, session = sleep(settle), addon("blender.pictures.session").session
    bpy.ops.effigy.disconnect()
    try:
        for _ in range(200):
            preview.tick()
            if not session.is_leaving:
                break
            time.sleep(0.05)
        preview.tick()
        looks = []
        monkeypatch.setattr(preview, "known_faces", lambda scene: looks.append(1) or [face])
        assert all(preview.tick() == preview._IDLE_S for _ in range(20))
        assert looks == []
        face.location.x += 0.1
        bpy.context.view_layer.update()
        preview.tick()
        assert looks == [1], "a change is looked at"
    finally:
        monkeypatch.undo()
        bpy.ops.effigy.connect()
        session.ensure_ready()
    settle()
    assert source == "BAKED" or follower_of(face).is_exact


def test_a_remembered_frame_is_shown_within_that_frame(scene, face, settle):
    # A viewport render draws the frame before any timer looks.
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    scene.frame_set(1)
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    settle()
    shown = []
    for frame in (2, 3, 4):
        scene.frame_set(frame)
        shown.append(pixels(face.effigy.image))
        assert follower_of(face).is_exact
    assert len({picture.tobytes() for picture in shown}) == 3
    for frame, picture in zip((2, 3, 4), shown, strict=True):
        scene.frame_set(frame)
        settle()
        np.testing.assert_array_equal(pixels(face.effigy.image), picture)


def test_the_plate_moves_with_a_remembered_frame(scene, face, settle):
    face.keyframe_insert("location", frame=1)
    scene.frame_set(4)
    # Away from the camera, which needs no other picture.
    sight = face.matrix_world.translation - scene.camera.matrix_world.translation
    face.location += sight * 0.3
    face.keyframe_insert("location", frame=4)
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    settle()
    for frame in (1, 3, 4):
        scene.frame_set(frame)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        wanted = addon("blender.scene.reader").read_face(face, scene, depsgraph)
        np.testing.assert_allclose(np.array(face.effigy.plate.matrix_world), wanted.plate, atol=1e-4)


def test_frames_of_another_scene_are_not_shown_in_this_one(scene, face, settle):
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    scene.frame_set(1)
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    settle()
    shown = pixels(face.effigy.image)
    other = bpy.data.scenes.new("Other")
    other.collection.children.link(face.users_collection[0])
    other.camera = scene.camera
    other.frame_set(4)
    np.testing.assert_array_equal(pixels(face.effigy.image), shown)
    bpy.data.scenes.remove(other)


def test_a_change_wakes_the_preview_at_once(scene, face, settle):
    preview = sleep(settle)
    assert preview._timer.is_asleep
    face.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    assert not preview._timer.is_asleep
    assert bpy.app.timers.is_registered(preview.tick)
    settle()


def test_every_frame_of_a_cached_range_wakes_the_preview(scene, face, settle):
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    shown = []
    for frame in (1, 2, 3, 4):
        preview = sleep(settle)
        scene.frame_set(frame)
        assert not preview._timer.is_asleep
        preview.tick()
        shown.append(pixels(face.effigy.image))
        assert follower_of(face).is_exact, "what is cached is exact at once"
    assert all((a != b).any() for a, b in itertools.pairwise(shown))


def test_a_cached_frame_that_was_posed_anew_says_so(scene, face, settle):
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    run = addon("blender.pictures.runs").run_of(face).cached
    scene.frame_set(2)
    look()
    assert run.state == "fresh"
    face.data.shape_keys.key_blocks["mouthSmile"].value = 0.5
    bpy.context.view_layer.update()
    look()
    assert (run.state, run.differs) == ("stale", ["expression"])
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    look()
    assert run.state == "fresh"
    scene.frame_set(9)
    look()
    assert run.state == ""


def test_the_preferences_say_how_much_is_remembered(scene, face, settle):
    settle()
    preferences = bpy.context.preferences.addons[PACKAGE].preferences
    memory, before = addon("blender.pictures.runs").runs.memory, preferences.memory
    try:
        preferences.memory = 1
        assert memory.limit == 1 << 20
        scene.frame_end = 400
        with pytest.raises(RuntimeError, match="Picture Memory"):
            bpy.ops.effigy.cache()
    finally:
        preferences.memory = before


def test_a_stale_bake_is_told_without_anything_else_happening(scene, face, settle):
    settle()
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    preview = sleep(settle)
    face.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    for _ in range(5):
        preview.tick()
    assert stale_of(face)
    assert not addon("blender.pictures.redraw").is_due(), "the panel was not told"
