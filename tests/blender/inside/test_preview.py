# SPDX-License-Identifier: GPL-3.0-or-later
"""The live preview follows the scene, and never shows an old picture as if it were new."""

from __future__ import annotations

import bpy
import numpy as np
from conftest import addon, follower_of
from helpers import open_mouth_as_a_step, pixels

import effigy_client.pixels
import effigy_protocol.messages


def shown(proxy):
    return pixels(proxy.effigy.image)


def test_the_plate_shows_a_face_after_adding_one(scene, face, settle):
    settle()
    assert shown(face).std() > 10
    assert (shown(face) != error_pixels(face)).any()


def test_turning_the_proxy_changes_the_picture(scene, face, settle):
    settle()
    before = shown(face)
    face.rotation_mode = "XYZ"
    face.rotation_euler = (0, 0, 0.5)
    bpy.context.view_layer.update()
    settle()
    assert (shown(face) != before).any()


def test_a_slider_changes_the_picture_and_zero_brings_it_back(scene, face, settle):
    settle()
    rest = shown(face)
    block = face.data.shape_keys.key_blocks["jawOpen"]
    block.value = 1.0
    bpy.context.view_layer.update()
    settle()
    assert (shown(face) != rest).any()
    block.value = 0.0
    bpy.context.view_layer.update()
    settle()
    np.testing.assert_array_equal(shown(face), rest)


def test_moving_the_camera_changes_the_picture(scene, face, settle):
    settle()
    before = shown(face)
    scene.camera.location.x += 1.5
    bpy.context.view_layer.update()
    settle()
    assert (shown(face) != before).any()


def test_many_changes_ask_for_few_pictures_and_end_with_the_newest(scene, face, settle):
    settle()
    preview = addon("blender.pictures.preview")
    block = face.data.shape_keys.key_blocks["jawOpen"]
    for step in range(60):
        block.value = step / 59
        bpy.context.view_layer.update()
        preview.tick()
    settle()
    assert follower_of(face).shown.controls == (("jawOpen", 1.0),)


def test_an_unchanged_scene_asks_for_nothing(scene, face, settle):
    settle()
    messages, session = effigy_protocol.messages, addon("blender.pictures.session").session
    client = session.ensure_ready().link
    painted = client.call(messages.Status(), 300).painted
    for _ in range(20):
        assert addon("blender.pictures.preview").tick() >= 0.1
    assert client.call(messages.Status(), 300).painted == painted


def test_no_tick_waits_while_a_picture_is_on_its_way(scene, face, settle, nothing_waits):
    settle()
    preview = addon("blender.pictures.preview")
    face.rotation_mode = "XYZ"
    for step in range(30):
        face.rotation_euler = (0, 0, step / 60)
        bpy.context.view_layer.update()
        preview.tick()
    assert preview.is_busy([face])
    settle()


def test_two_faces_both_follow(scene, face, settle):
    bpy.context.scene.cursor.location = (4, 0, 0)
    bpy.ops.effigy.add_face(seed=5)
    other = bpy.context.active_object
    settle()
    assert (shown(face) != shown(other)).any()
    before = shown(face), shown(other)
    for proxy in (face, other):
        proxy.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    settle()
    assert (shown(face) != before[0]).any()
    assert (shown(other) != before[1]).any()


def test_undo_brings_picture_and_rig_together_again(scene, face, settle):
    settle()
    rest, name = shown(face), face.name  # references do not survive undo
    open_mouth_as_a_step(face, settle)
    bpy.ops.ed.undo()
    proxy = bpy.context.scene.objects[name]
    bpy.context.view_layer.update()
    settle()
    assert proxy.data.shape_keys.key_blocks["jawOpen"].value == 0.0
    np.testing.assert_array_equal(shown(proxy), rest)


def error_pixels(proxy):
    width, height = proxy.effigy.image.size
    flat = effigy_client.pixels.error_picture(height, width)
    return np.round(flat.reshape(height, width, 4)[..., :3] * 255).astype(np.uint8)
