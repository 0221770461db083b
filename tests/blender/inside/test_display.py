# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a face's picture is seen: on its plate, behind the camera's view, on the proxy; and pixel by pixel."""

from __future__ import annotations

import math

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from conftest import addon
from mathutils import Vector


def test_the_picture_is_shown_on_the_plate_behind_the_camera_or_on_the_proxy(scene, face, settle):
    settle()
    plate, camera = face.effigy.plate, face.effigy.camera
    face.effigy.display = "BACKGROUND"
    assert [entry.image for entry in camera.data.background_images] == [face.effigy.image]
    assert plate.hide_get()
    assert not plate.hide_render
    face.effigy.display = "PROJECTED"
    assert len(camera.data.background_images) == 0
    assert plate.hide_render
    assert not face.hide_render
    assert face.data.materials[0].node_tree.nodes["Picture"].image == face.effigy.image
    face.effigy.display = "PLATE"
    assert not plate.hide_render
    assert not plate.hide_get()
    assert face.hide_render
    assert len(face.data.materials) == 0


def test_a_projected_face_renders_the_plates_pixels_where_the_proxy_stands(scene, face):
    from helpers import render

    scene.frame_end = 1
    (on_plate,) = render(scene)
    face.effigy.display = "PROJECTED"
    scene.render.film_transparent = True
    (projected,) = render(scene)
    height, width, _ = on_plate.shape
    nose = projected[int(0.42 * height) : int(0.5 * height), int(0.46 * width) : int(0.54 * width)].astype(float)
    same = on_plate[int(0.42 * height) : int(0.5 * height), int(0.46 * width) : int(0.54 * width)]
    # The plate is flat and the mesh is not: a perspective camera shifts its near parts by a pixel or two.
    assert np.abs(nose - same).mean() < 12


def test_a_projected_faces_texture_coordinates_are_its_points_on_the_plate(scene, face, settle):
    """Solid viewports and Workbench know no other coordinates."""
    face.effigy.display = "PROJECTED"
    face.rotation_euler.z += 0.2
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.7
    bpy.context.view_layer.update()
    settle()
    bpy.context.view_layer.update()
    worn = face.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    found = np.array([corner.uv[:] for corner in worn.uv_layers.active.data])
    onto = face.effigy.plate.matrix_world.inverted() @ face.matrix_world
    places = np.array([(onto @ worn.vertices[loop.vertex_index].co)[:2] for loop in worn.loops])
    np.testing.assert_allclose(found, places + 0.5, atol=1e-5)
    assert worn.uv_layers.active.active_render
    assert np.ptp(found, axis=0).min() > 0.2


def test_leaving_projected_leaves_the_artists_own_coordinates_as_they_were(scene, face):
    layers = face.data.uv_layers
    for name in ("First", "Second"):
        layers.new(name=name)
    layers.active = layers["First"]
    face.effigy.display = "PROJECTED"
    assert layers.active.name == addon("blender.projection").NAME
    face.effigy.display = "PLATE"
    assert [layer.name for layer in layers] == ["First", "Second"]
    assert layers.active.name == "First"
    assert layers["First"].active_render
    assert len(face.modifiers) == 0
    assert not [group for group in bpy.data.node_groups if "Projection" in group.name]


@pytest.mark.parametrize("lost", ["material", "modifier"])
def test_a_projection_that_lost_a_part_is_put_on_anew_or_taken_off(scene, face, lost):
    for display in ("PROJECTED", "PLATE"):
        face.effigy.display = "PROJECTED"
        if lost == "material":
            face.data.materials.pop(index=0)
        else:
            face.modifiers.remove(face.modifiers[0])
        face.effigy.display = display
        worn = display == "PROJECTED"
        assert len(face.modifiers) == len(face.data.materials) == len(face.data.uv_layers) == worn
        assert face.hide_render is not worn
        face.effigy.display = "PLATE"


@pytest.mark.parametrize("linked", [False, True])
def test_a_duplicate_of_a_projected_face_wears_its_own_picture(scene, face, settle, linked):
    face.effigy.display = "PROJECTED"
    bpy.ops.object.duplicate(linked=linked)
    twin = bpy.context.active_object
    settle()
    assert twin.data != face.data
    for proxy in (face, twin):
        (modifier,) = proxy.modifiers
        place = next(n for n in modifier.node_group.nodes if n.bl_idname == "GeometryNodeObjectInfo")
        assert place.inputs["Object"].default_value == proxy.effigy.plate
        assert [m.node_tree.nodes["Picture"].image for m in proxy.data.materials] == [proxy.effigy.image]


def test_exact_pixels_tells_of_a_rolled_head(scene, face, capsys):
    face.rotation_euler.rotate_axis("Y", 0.1)
    bpy.context.view_layer.update()
    bpy.ops.effigy.exact_view()
    assert "The head is rolled, by -5.6° at most" in capsys.readouterr().out


def test_exact_pixels_looks_at_what_is_animated_and_loses_nothing(scene, face):
    squares = addon("blender.display").picture_nodes(face)[0]
    bpy.ops.effigy.exact_view()
    assert squares.interpolation == "Closest"
    face.rotation_mode = "XYZ"
    face.keyframe_insert("rotation_euler", frame=1)
    face.rotation_euler.z += 0.3  # a head that nods turns about Z: that rolls it, in later frames only
    face.keyframe_insert("rotation_euler", frame=4)
    scene.frame_set(1)
    block = face.data.shape_keys.key_blocks["jawOpen"]
    block.keyframe_insert("value", frame=1)
    block.value, face.location.x = 0.5, 1.25
    face.keyframe_insert("location", frame=1)
    face.location.x = 1.5
    bpy.ops.effigy.exact_view()
    assert squares.interpolation == "Linear"
    assert (block.value, face.location.x) == (0.5, 1.5), "what was not keyed yet is lost"
    assert scene.frame_current == 1


def test_exact_pixels_without_a_camera_says_so(scene, face):
    bpy.data.objects.remove(face.effigy.camera)
    scene.camera = None
    with pytest.raises(RuntimeError, match="There is no camera"):
        bpy.ops.effigy.exact_view()


def test_a_projected_face_is_painted_in_every_rendered_frame(scene, face, monkeypatch):
    from helpers import render, swing

    module, painted = addon("blender.render"), []
    paint = module.paint
    monkeypatch.setattr(module, "paint", lambda proxy, wanted: painted.append(wanted) or paint(proxy, wanted))
    swing(face, scene, 20)
    face.effigy.display = "PROJECTED"
    frames = render(scene)
    assert len({frame.tobytes() for frame in frames}) == len(frames)
    scene.frame_set(scene.frame_end)
    wanted = addon("blender.scene_reader").read_face(face, scene, bpy.context.evaluated_depsgraph_get())
    assert len(painted) == len(frames)
    assert painted[-1].parameters == wanted.parameters


def _covered(entry, camera, scene):
    """The corners of a background image in the camera's frame (0 … 1), as Blender's overlay lays it there."""
    frame = camera.data.view_frame(scene=scene)
    wide, high = frame[0].x - frame[3].x, frame[0].y - frame[1].y
    aspect, shape = wide / high, entry.image.size[0] / entry.image.size[1]
    fitted = wide if shape > aspect else high * shape
    unit = camera.data.ortho_scale if camera.data.type == "ORTHO" else 1.0
    middle = np.array(entry.offset) * unit * (min(1.0, aspect), aspect / (max(1.0, aspect) * shape))
    c, s = math.cos(-entry.rotation), math.sin(-entry.rotation)
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * fitted * entry.scale
    return 0.5 + (middle + corners @ np.array([(c, s), (-s, c)])) / (wide, high)


@pytest.mark.parametrize("lens", ["PERSP", "ORTHO"])
@pytest.mark.parametrize("resolution", [(1920, 1080), (600, 900)])
def test_the_picture_behind_the_camera_lies_where_the_plate_would_be_seen(scene, face, settle, lens, resolution):
    settle()
    face.effigy.display = "BACKGROUND"
    rig, own = scene.camera, bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    scene.collection.objects.link(own)
    own.matrix_world = rig.matrix_world.copy()
    own.location += Vector((0.3, -2.0, 0.2))
    own.data.type, own.data.ortho_scale, own.data.lens, own.data.shift_x = lens, 7.0, 60.0, 0.05
    scene.camera = own
    scene.render.resolution_x, scene.render.resolution_y = resolution
    face.rotation_mode = "XYZ"
    face.rotation_euler.rotate_axis("Y", 0.4)  # a roll
    bpy.context.view_layer.update()
    settle()
    assert len(rig.data.background_images) == 0
    [entry] = own.data.background_images
    plate = face.effigy.plate
    seen = [world_to_camera_view(scene, own, plate.matrix_world @ vertex.co) for vertex in plate.data.vertices]
    # The plate faces the camera's eye and not its middle: a hundredth of the picture is that difference.
    np.testing.assert_allclose(_covered(entry, own, scene), np.array(seen)[:, :2], atol=0.01)
    offset = tuple(entry.offset)
    face.location.x += 0.5
    bpy.context.view_layer.update()
    settle()
    assert tuple(entry.offset) != offset, "the picture stands still when the head moves"
    own.location = face.location + Vector((0, 3, 0))  # behind it
    own.rotation_euler = (math.pi / 2, 0, 0)
    bpy.context.view_layer.update()
    settle()
    assert entry.show_background_image == (lens == "ORTHO")
    face.effigy.display = "PLATE"
    assert len(own.data.background_images) == 0


@pytest.mark.parametrize("display", ["PLATE", "BACKGROUND", "PROJECTED"])
def test_whatever_shows_a_face_shows_its_bake_and_then_the_live_picture(scene, face, display):
    def shown():
        nodes = addon("blender.display").picture_nodes(face)
        return {entry.image for entry in [*nodes, *face.effigy.camera.data.background_images]}

    bpy.ops.effigy.bake()
    face.effigy.display = display
    assert shown() == {face.effigy.baked}
    bpy.ops.effigy.show_live()
    assert shown() == {face.effigy.image}


def test_a_duplicate_of_a_baked_and_projected_face_has_all_of_its_own(scene, face, settle):
    face.effigy.display = "PROJECTED"
    bpy.ops.effigy.bake()
    settle()
    for obj in bpy.context.selected_objects:
        obj.select_set(False)
    face.select_set(True)
    bpy.ops.object.duplicate()
    twin = bpy.context.active_object
    assert twin != face
    settle()
    assert twin.effigy.plate != face.effigy.plate
    assert twin.effigy.image != face.effigy.image
    assert twin.data.materials[0] != face.data.materials[0]
    assert twin.effigy.source == "LIVE"
    assert {node.image for node in addon("blender.display").picture_nodes(face)} == {face.effigy.baked}


def test_a_baked_picture_is_behind_every_camera(scene, face, settle):
    face.effigy.display = "BACKGROUND"
    settle()
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    other = bpy.data.objects.new("Other", bpy.data.cameras.new("Other"))
    scene.collection.objects.link(other)
    other.matrix_world = scene.camera.matrix_world
    scene.camera = other
    bpy.context.view_layer.update()
    settle()
    assert [entry.image for entry in other.data.background_images] == [face.effigy.baked]
    assert len(face.effigy.camera.data.background_images) == 0


def test_leaving_projected_takes_nothing_but_the_projection_off(scene, face):
    face.effigy.display = "PROJECTED"
    own = bpy.data.materials.new("Mine")
    face.data.materials.append(own)
    face.effigy.display = "PLATE"
    assert list(face.data.materials) == [own]
