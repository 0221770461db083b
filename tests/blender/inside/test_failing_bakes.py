# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes that fail or are stopped lose no frame, write no wrong one, and leave nothing half written."""

from __future__ import annotations

import errno
import os
import signal
import threading
from pathlib import Path

import bpy
import pytest
from conftest import addon
from helpers import bake_while_struck, begun_bake, give_ups, go_on

import effigy_client.errors
import effigy_client.sequence


def test_a_bake_that_fails_keeps_what_is_written_and_leaves_nothing_half_written(scene, face, settle, backend):
    bake = begun_bake(face, scene)
    written = bake.done
    face.effigy.model = "another model"
    with pytest.raises(addon("blender.pictures.walk").WalkError, match="identity"):
        go_on(bake)
    bake.abandon()
    names = [path.name for path in sorted(bake.folder.iterdir())]
    assert names[-1] == "frames.json"
    assert len(names) - 1 >= written
    assert all(name.endswith(".png") for name in names[:-1])
    assert face.effigy.source == "LIVE"
    assert curves(face.effigy.plate) == 0, "a bake that failed has left its keys on the plate"


@pytest.mark.newest
def test_a_stopped_bake_takes_back_what_is_not_painted_yet(scene, face, settle):
    scene.frame_end = scene.frame_start + 30
    bake = addon("blender.pictures.bake").Bake(face, scene)
    while not bake.walk._sequence._asked:
        bake.step()
        effigy_client.sequence.pause()
    on_their_way = [entry.asked.answer for entry in bake.walk._sequence._asked]
    assert len(on_their_way) > 4, "the backend may have begun with four of them"
    bake.abandon()
    errors = [answer.exception(300) for answer in on_their_way]
    assert "cancelled" in {error.code for error in errors if error is not None}
    settle()  # a preview that was cancelled with them is asked for again


def curves(obj):
    """Counts the keys of the object's own curves."""
    data = obj.animation_data
    if data is None or data.action is None:
        return 0
    if bpy.app.version < (4, 4, 0):
        found = data.action.fcurves
    else:
        bags = [strip.channelbag(data.action_slot) for layer in data.action.layers for strip in layer.strips]
        found = [curve for bag in bags if bag is not None for curve in bag.fcurves]
    return sum(len(curve.keyframe_points) for curve in found)


@pytest.mark.newest
def test_a_bake_survives_a_killed_backend_with_no_frame_lost_or_wrong(scene, face, settle, killable, monkeypatch):
    settle()
    folder, _ = bake_while_struck(scene, face, killable, monkeypatch, 15, signal.SIGKILL)
    monkeypatch.undo()
    files = [(folder / f"{folder.name}_{frame:04d}.png").read_bytes() for frame in range(1, 41)]
    for path in folder.glob("*.png"):
        path.unlink()
    bpy.ops.effigy.show_live()
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    assert files == [(folder / f"{folder.name}_{frame:04d}.png").read_bytes() for frame in range(1, 41)]
    assert not addon("blender.pictures.activity").activity.is_painting_range


@pytest.mark.newest
def test_a_bake_gives_up_on_a_backend_that_cannot_be_started(scene, face, settle, killable, preferences):
    settle()
    scene.frame_end = 500
    command = preferences.command
    preferences.command = "/nowhere/effigy"
    threading.Timer(0.7, os.kill, (killable.provision.pid, signal.SIGKILL)).start()
    try:
        with pytest.raises(RuntimeError, match=r"Bake stopped.*no backend command"):
            bpy.ops.effigy.bake()
    finally:
        preferences.command = command
    assert not addon("blender.pictures.activity").activity.is_painting_range
    assert curves(face.effigy.plate) == 0


def test_back_to_live_keeps_the_users_own_animation_of_the_plate(scene, face, settle):
    settle()
    plate = face.effigy.plate
    plate.keyframe_insert("hide_render", frame=2)
    bpy.ops.effigy.bake()
    assert curves(plate) > 4
    bpy.ops.effigy.show_live()
    assert curves(plate) == 1


def test_a_frame_outside_the_baked_range_is_an_error_and_not_the_last_picture(scene, face, settle, monkeypatch):
    settle()
    bpy.ops.effigy.bake()
    said = give_ups(monkeypatch)
    scene.frame_end = 5
    bpy.ops.render.render(animation=True)
    assert len(said) == 1
    assert "only frames 1 to 4 are baked" in said[0]


def test_two_faces_that_would_share_a_folder_are_refused(scene, face, settle):
    settle()
    bpy.ops.effigy.add_face(seed=5)
    other = bpy.context.active_object
    other.name = "Face_4"
    with pytest.raises(RuntimeError, match="same folder"):
        bpy.ops.effigy.bake()


def test_baking_an_unsaved_file_is_refused_with_a_reason(scene, face):
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert not bpy.ops.effigy.bake.poll()


@pytest.mark.newest
def test_a_full_disk_ends_a_bake_with_what_to_do_and_leaves_no_part(scene, face, settle, monkeypatch):
    settle()

    def full(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RuntimeError, match=r"there is no room for .*_0001\.png: make some"):
        bpy.ops.effigy.bake()
    assert list(addon("blender.pictures.bake").folder_of(face).iterdir()) == []
