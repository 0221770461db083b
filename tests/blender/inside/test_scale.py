# SPDX-License-Identifier: GPL-3.0-or-later
"""New faces as large as people, seen at once by camera and viewport."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from conftest import addon
from helpers import render
from mathutils import Vector


@pytest.fixture()
def small(scene, backend, preferences):
    """A face of the size that artists get."""
    before = preferences.head_height
    preferences.property_unset("head_height")
    assert preferences.head_height == pytest.approx(0.24)
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    yield bpy.context.active_object
    preferences.head_height = before


def corners(proxy):
    plate = proxy.effigy.plate
    return [plate.matrix_world @ vertex.co for vertex in plate.data.vertices]


def test_a_new_face_is_as_large_as_a_person_and_fills_its_cameras_picture(scene, small, settle):
    settle()
    bpy.context.view_layer.update()
    corner = small.data.shape_keys.key_blocks[0].data
    eyes = small.matrix_world @ corner[45].co - small.matrix_world @ corner[36].co
    assert 0.08 < eyes.length < 0.1
    seen = np.array([world_to_camera_view(scene, scene.camera, place) for place in corners(small)])
    assert np.ptp(seen[:, 1]) == pytest.approx(1, abs=0.01)
    assert seen[:, 2].min() > 5 * scene.camera.data.clip_start


@pytest.mark.parametrize("height", [0.05, 0.24, 60.0])
def test_the_drawing_of_its_camera_hides_no_head(scene, backend, preferences, height):
    before, preferences.head_height = preferences.head_height, height
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    preferences.head_height = before
    assert scene.camera.data.display_size == pytest.approx(0.4 * height, rel=0.2)


def test_a_small_face_renders_its_own_picture_to_the_byte(scene, small):
    from test_alpha import bytes_of, painted

    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    small.data.shape_keys.key_blocks["jawOpen"].value = 0.4
    scene.frame_end = 1
    (picture,) = render(scene)
    np.testing.assert_array_equal(picture, bytes_of(painted(small))[..., :3])


def test_further_faces_are_as_large_as_those_that_are_there_and_stand_beside_them(scene, small, preferences):
    small.scale = (1.0, 1.0, 1.0)  # as in files of before
    bpy.context.view_layer.update()
    assert bpy.ops.effigy.add_face(seed=5) == {"FINISHED"}
    second = bpy.context.active_object
    np.testing.assert_allclose(second.matrix_world.to_scale(), 1, atol=1e-6)
    assert abs(second.matrix_world.translation.x) >= 1.05 * small.effigy.plate_size
    np.testing.assert_allclose(small.scale, 1)


def test_blenders_own_cube_around_a_small_face_is_named_and_can_be_hidden(scene, small, capsys):
    hiding = addon("blender.scene.obstacles").hiding
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    assert bpy.ops.effigy.add_face(seed=5) == {"FINISHED"}
    assert "Cube stands in front of the face" in capsys.readouterr().out
    assert bpy.ops.effigy.hide(name=cube.name) == {"FINISHED"}
    assert cube.hide_render
    assert not cube.visible_get()
    bpy.context.view_layer.update()
    assert hiding(bpy.context, small, scene.camera) == []
    cube.hide_render, cube.scale = False, (2.5, 2.5, 1.3)
    cube.hide_set(False)
    bpy.context.view_layer.update()
    assert hiding(bpy.context, small, scene.camera) == [], "a room is no obstacle"


def test_a_viewport_turns_to_a_new_face_unless_it_looks_through_a_camera(scene, small):
    frame, view_of = addon("blender.scene.viewing").frame, addon("blender.scene.controls").view_of
    area = next(area for area in bpy.context.window.screen.areas if area.type == "VIEW_3D")
    space, region = area.spaces[0], next(region for region in area.regions if region.type == "WINDOW")
    view = space.region_3d
    view.view_perspective = "PERSP"
    frame(space, region, small, scene.camera)
    middle = sum(corners(small), Vector()) / 4
    assert (view.view_location - middle).length < 1e-3
    axes = view_of(small, scene.camera).axes
    np.testing.assert_allclose(np.array(view.view_rotation.to_matrix()), axes, atol=1e-5)
    assert view.view_distance > space.clip_start * 5
    # As large as the view: a lens of 50 mm sees 1.44 times its distance along the longer edge.
    shorter = min(region.width, region.height) / max(region.width, region.height)
    seen = 1.44 * 50 / space.lens * view.view_distance * shorter
    size = small.effigy.plate_size * small.scale.x
    assert size < seen < 1.3 * size
    view.view_perspective, before = "CAMERA", view.view_location.copy()
    small.location.x += 3
    bpy.context.view_layer.update()
    frame(space, region, small, scene.camera)
    assert view.view_location == before
