# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of a scene's faces is kept without a search in every frame, and is never out of date."""

from __future__ import annotations

import bpy
import pytest
from conftest import addon
from helpers import open_mouth_as_a_step


@pytest.fixture()
def known(scene, monkeypatch):
    """Returns the names of the known faces; ``known.looks`` counts searches through all objects."""
    queries = addon("blender.scene.queries")
    faces = queries.faces

    def look(scene):
        names.looks += 1
        return faces(scene)

    def names():
        bpy.context.view_layer.update()
        current = bpy.context.scene
        told = {proxy.name for proxy in queries.known_faces(current)}
        assert told == {proxy.name for proxy in faces(current)}
        return told

    monkeypatch.setattr(queries, "faces", look)
    queries.forget()
    names.looks = 0
    return names


def _double(face):
    double = face.copy()
    face.users_collection[0].objects.link(double)
    return double


def test_a_moving_face_is_not_looked_for_again(scene, face, settle, known):
    known()
    looks = known.looks
    for frame in range(1, 4):
        scene.frame_set(frame)
        face.rotation_euler.z += 0.1
        face.data.shape_keys.key_blocks["jawOpen"].value += 0.1
        settle()
        assert known() == {face.name}
    assert known.looks == looks


def test_faces_that_come_and_go_are_known(scene, face, settle, known):
    assert known() == {face.name}
    bpy.ops.effigy.add_face(seed=5)
    assert len(known()) == 2
    double = _double(face)
    assert len(known()) == 3
    # One goes and another comes between two looks, so their number is the same.
    bpy.data.objects.remove(double)
    double = _double(face)
    double.name = "Somebody"
    assert "Somebody" in known()
    double.name = "Somebody Else"
    assert "Somebody Else" in known()
    face.users_collection[0].objects.unlink(double)
    assert "Somebody Else" not in known()
    bpy.data.objects.remove(double)
    bpy.ops.effigy.remove_face()
    assert len(known()) == 1


def test_a_face_that_comes_with_a_new_frame_is_known(scene, face, known):
    # Only the evaluation of the new frame reports that something was linked.
    known()
    double = _double(face)
    scene.frame_set(3)
    assert addon("blender.scene.queries").known_faces(scene) == addon("blender.scene.queries").faces(scene)
    assert double in addon("blender.scene.queries").known_faces(scene)


def test_what_is_no_mesh_is_no_face(scene, face):
    empty = bpy.data.objects.new("Empty", None)
    scene.collection.objects.link(empty)
    empty.effigy.is_face = True  # as after converting a face
    bpy.context.view_layer.update()
    bpy.context.view_layer.objects.active = empty
    assert addon("blender.scene.queries").active_face(bpy.context) == face


def test_two_scenes_in_two_windows_are_both_known(scene, face, known):
    other = bpy.data.scenes.new("Other")
    queries = addon("blender.scene.queries")
    for each in (scene, other):
        queries.known_faces(each)
    looks = known.looks
    for _ in range(5):
        assert queries.known_faces(scene) == [face]
        assert queries.known_faces(other) == []
    assert known.looks == looks
    bpy.data.scenes.remove(other)


def test_faces_of_an_undo_and_of_another_scene_are_known(scene, face, settle, known):
    name = face.name
    open_mouth_as_a_step(face, settle)
    bpy.ops.effigy.add_face(seed=5)
    bpy.ops.ed.undo_push(message="added")
    assert len(known()) == 2
    bpy.ops.ed.undo()
    assert known() == {name}
    bpy.ops.ed.redo()
    assert len(known()) == 2
    own, other = bpy.context.scene, bpy.data.scenes.new("Other")
    bpy.context.window.scene = other
    assert known() == set()
    other.collection.objects.link(bpy.data.objects[name])
    assert known() == {name}
    bpy.context.window.scene = own
    assert len(known()) == 2
    bpy.data.scenes.remove(other)


def test_the_active_face_is_found_by_its_plate_and_its_camera(scene, face, known):
    queries = addon("blender.scene.queries")
    bpy.ops.effigy.add_face(seed=5)
    for proxy in (bpy.context.active_object, face):
        for part in (proxy, proxy.effigy.plate, proxy.effigy.camera):
            bpy.context.view_layer.objects.active = part
            assert queries.active_face(bpy.context) == proxy
    bpy.context.view_layer.objects.active = None
    assert queries.active_face(bpy.context) is None, "there are two"
    assert len(known()) == 2
