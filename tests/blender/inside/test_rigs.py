# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig in scenes as artists make them: parents, constraints, armatures, other cameras, several scenes."""

from __future__ import annotations

import math

import bpy
import numpy as np
import pytest
from conftest import addon, follower_of
from mathutils import Matrix


def read(face, scene):
    bpy.context.view_layer.update()
    return addon("blender.scene.reader").read_face(face, scene, bpy.context.evaluated_depsgraph_get())


def turned(owner, degrees):
    """Turns an object about its own upright axis."""
    owner.matrix_world = owner.matrix_world @ Matrix.Rotation(math.radians(degrees), 4, "Z")


def test_a_parent_turns_the_face_as_its_own_turn_does(scene, face):
    turned(face, 20)
    own = read(face, scene)
    turned(face, -20)
    parent = bpy.data.objects.new("Parent", None)
    scene.collection.objects.link(parent)
    bpy.context.view_layer.update()
    face.parent = parent
    rest = face.matrix_world.copy()
    parent.matrix_world = rest @ Matrix.Rotation(math.radians(20), 4, "Z") @ rest.inverted()
    found = read(face, scene)
    assert (found.parameters.yaw, found.parameters.pitch) == pytest.approx(
        (own.parameters.yaw, own.parameters.pitch), abs=0.01
    )


def test_a_constraint_turns_the_face(scene, face):
    target = bpy.data.objects.new("Target", None)
    scene.collection.objects.link(target)
    target.matrix_world = face.matrix_world @ Matrix.Rotation(math.radians(-25), 4, "Z")
    before = read(face, scene)
    face.constraints.new("COPY_ROTATION").target = target
    after = read(face, scene)
    assert abs(after.parameters.yaw - before.parameters.yaw) == pytest.approx(25, abs=1.5)


def test_a_bone_carries_the_face(scene, face):
    armature = bpy.data.armatures.new("Neck")
    rig = bpy.data.objects.new("Neck", armature)
    scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone = armature.edit_bones.new("Head")
    bone.head, bone.tail = (0, 0, 0), (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    stood = face.matrix_world.copy()
    face.parent, face.parent_type, face.parent_bone = rig, "BONE", "Head"
    bpy.context.view_layer.update()
    face.matrix_world = stood
    before = read(face, scene)
    pose = rig.pose.bones["Head"]
    pose.rotation_mode = "XYZ"
    pose.rotation_euler.y = math.radians(20)  # a bone's own axis is Y
    after = read(face, scene)
    assert abs(after.parameters.yaw - before.parameters.yaw) == pytest.approx(20, abs=1.5)


def test_an_orthographic_camera_sees_the_face_where_the_plate_is(scene, face):
    camera = scene.camera
    camera.data.type = "ORTHO"
    camera.data.ortho_scale = face.effigy.plate_size
    straight = read(face, scene)
    # Parallel rays: moving to the side does not turn the head.
    face.location.x += 2
    moved = read(face, scene)
    assert (moved.parameters.yaw, moved.parameters.pitch) == pytest.approx(
        (straight.parameters.yaw, straight.parameters.pitch), abs=1e-3
    )
    np.testing.assert_allclose(moved.plate[:3, :3], straight.plate[:3, :3], atol=1e-5)
    assert moved.plate[0, 3] - straight.plate[0, 3] == pytest.approx(2, abs=1e-5)


def test_the_artists_own_camera_counts_and_the_faces_only_without_one(scene, face):
    own = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    scene.collection.objects.link(own)
    own.matrix_world = Matrix.Rotation(math.radians(30), 4, "Z") @ scene.camera.matrix_world
    by_rig = read(face, scene)
    scene.camera = own
    by_own = read(face, scene)
    assert abs(by_own.parameters.yaw - by_rig.parameters.yaw) == pytest.approx(30, abs=2)
    scene.camera = None
    assert read(face, scene).parameters.yaw == pytest.approx(by_rig.parameters.yaw, abs=1e-3)


def test_every_scene_sees_its_own_face(scene, face, settle):
    other = bpy.data.scenes.new("Other")
    bpy.context.window.scene = other
    bpy.ops.effigy.add_face(seed=9)
    second = bpy.context.active_object
    settle()
    assert follower_of(second).shown is not None
    queries = addon("blender.scene.queries")
    assert queries.faces(scene) == [face]
    assert queries.faces(other) == [second]
    bpy.context.window.scene = scene


def test_a_mirrored_and_stretched_parent_does_no_harm(scene, face):
    before = read(face, scene)
    face.scale = (1.0, 3.0, 0.5)
    assert read(face, scene).parameters.yaw == pytest.approx(before.parameters.yaw, abs=8)
    face.scale = (-1, 1, 1)
    found = read(face, scene)
    assert (found.parameters.yaw, found.parameters.pitch) == pytest.approx(
        (before.parameters.yaw, before.parameters.pitch), abs=1e-3
    )
    assert np.isfinite(found.plate).all()
    # Its buttons turn it as they do any other, and it stays mirrored.
    bpy.ops.effigy.face_camera()
    found = read(face, scene)
    assert (found.parameters.yaw, found.parameters.pitch) == pytest.approx((0, 0), abs=1e-3)
    assert face.matrix_world.determinant() < 0


def test_a_face_takes_the_place_of_blenders_own_camera_but_of_no_other(scene, backend):
    untouched = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(untouched)
    untouched.location = (7.358891, -6.925791, 4.958309)
    scene.camera = untouched
    bpy.ops.effigy.add_face(seed=1)
    first = bpy.context.active_object
    assert scene.camera == first.effigy.camera
    chosen = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    scene.collection.objects.link(chosen)
    scene.camera = chosen
    bpy.ops.effigy.add_face(seed=2)
    assert scene.camera == chosen
