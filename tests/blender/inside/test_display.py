# SPDX-License-Identifier: GPL-3.0-or-later
"""Display of a face's picture: on its plate, behind the head, on the proxy; and pixel by pixel."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from conftest import addon
from mathutils import Vector


def test_the_picture_is_shown_on_the_plate_behind_the_head_or_on_the_proxy(scene, face, settle):
    settle()
    plate = face.effigy.plate
    face.effigy.display = "BACKGROUND"
    assert [modifier.show_render for modifier in plate.modifiers] == [False]
    assert not plate.hide_get()
    assert not plate.hide_render
    face.effigy.display = "PROJECTED"
    assert len(plate.modifiers) == 0
    assert plate.hide_get()
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
    # The plate is flat and the mesh is not: a perspective camera shifts near parts of the mesh by a pixel or two.
    assert np.abs(nose - same).mean() < 12


def test_a_projected_faces_texture_coordinates_are_its_points_on_the_plate(scene, face, settle):
    """Solid viewports and Workbench use these coordinates only."""
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
    assert layers.active.name == addon("blender.scene.projection").NAME
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
    squares = addon("blender.scene.display").picture_nodes(face)[0]
    bpy.ops.effigy.exact_view()
    assert squares.interpolation == "Closest"
    face.rotation_mode = "XYZ"
    face.keyframe_insert("rotation_euler", frame=1)
    face.rotation_euler.z += 0.3  # a nodding head that turns about Z is rolled, in later frames only
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


def test_exact_pixels_can_keep_the_scenes_resolution_and_enlarge_smoothly(scene, face):
    image, squares = face.effigy.image, addon("blender.scene.display").picture_nodes(face)[0]
    for size, found, drawn in (("SCENE", (1920, 1080), "Cubic"), ("PICTURE", tuple(image.size), "Closest")):
        scene.render.resolution_x, scene.render.resolution_y = 1920, 1080
        assert bpy.ops.effigy.exact_view(size=size) == {"FINISHED"}
        assert (scene.render.resolution_x, scene.render.resolution_y) == found
        assert squares.interpolation == drawn
        places = seen(scene, standing(face.effigy.plate))
        np.testing.assert_allclose([places[:, 1].min(), places[:, 1].max()], [0, 1], atol=1e-4)


def test_exact_pixels_without_a_camera_says_so(scene, face):
    bpy.data.objects.remove(face.effigy.camera)
    scene.camera = None
    with pytest.raises(RuntimeError, match="There is no camera"):
        bpy.ops.effigy.exact_view()


def test_a_projected_face_is_painted_in_every_rendered_frame(scene, face, monkeypatch):
    from helpers import render, swing

    module, painted = addon("blender.pictures.render"), []
    paint = module.paint
    monkeypatch.setattr(module, "paint", lambda proxy, wanted: painted.append(wanted) or paint(proxy, wanted))
    swing(face, scene, 20)
    face.effigy.display = "PROJECTED"
    frames = render(scene)
    assert len({frame.tobytes() for frame in frames}) == len(frames)
    scene.frame_set(scene.frame_end)
    wanted = addon("blender.scene.reader").read_face(face, scene, bpy.context.evaluated_depsgraph_get())
    assert len(painted) == len(frames)
    assert painted[-1].parameters == wanted.parameters


def drawn(plate) -> np.ndarray:
    """Returns the corners of a plate [4, 3] in the world, as viewports draw it."""
    shown = plate.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.array([shown.matrix_world @ vertex.co for vertex in shown.data.vertices])


def seen(scene, corners) -> np.ndarray:
    """Returns where the scene's camera sees points: across, up (0 … 1), and their distance."""
    return np.array([world_to_camera_view(scene, scene.camera, Vector(corner)) for corner in corners])


def standing(plate) -> np.ndarray:
    """Returns the corners [4, 3] of the plate in the world, as it renders."""
    return np.array([plate.matrix_world @ vertex.co for vertex in plate.data.vertices])


@pytest.mark.parametrize("lens", ["PERSP", "ORTHO"])
def test_the_picture_in_the_background_lies_where_the_plate_is_seen_and_behind_the_head(scene, face, settle, lens):
    settle()
    face.effigy.display = "BACKGROUND"
    own = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    scene.collection.objects.link(own)
    own.matrix_world = scene.camera.matrix_world.copy()
    own.location += Vector((0.3, -2.0, 0.2))
    own.data.type, own.data.ortho_scale, own.data.lens, own.data.shift_x = lens, 7.0, 60.0, 0.05
    scene.camera = own
    face.rotation_mode = "XYZ"
    face.rotation_euler.rotate_axis("Y", 0.4)  # a roll
    bpy.context.view_layer.update()
    settle()
    plate, heights = face.effigy.plate, []
    for place in (0.0, 0.5):
        face.location.x = place
        bpy.context.view_layer.update()
        settle()
        shown, stands = seen(scene, drawn(plate)), seen(scene, standing(plate))
        np.testing.assert_allclose(shown[:, :2], stands[:, :2], atol=1e-5)
        head = seen(scene, [face.matrix_world @ vertex.co for vertex in face.data.vertices])
        assert shown[:, 2].min() > head[:, 2].max(), "a part of the head is behind the picture"
        heights.append(shown[0, 0])
    assert heights[0] != heights[1], "the picture stands still when the head moves"
    face.effigy.display = "PLATE"
    np.testing.assert_allclose(drawn(plate), standing(plate), atol=1e-6)
    assert not [group for group in bpy.data.node_groups if "Backdrop" in group.name]


@pytest.mark.parametrize("display", ["PLATE", "BACKGROUND"])
def test_what_stands_behind_the_head_is_hidden_and_what_stands_at_it_is_not(scene, face, settle, display):
    settle()
    face.effigy.display = display
    settle()
    eye, met = scene.camera.matrix_world.translation, {}
    for name, place in (("behind", (0.3, 2.5, 0.4)), ("at", (0.3, 0.6, 0.4))):  # the head looks along −y
        bpy.ops.mesh.primitive_uv_sphere_add(radius=0.2, location=place)
        ball = bpy.context.active_object
        depsgraph = bpy.context.evaluated_depsgraph_get()
        way = (Vector(place) - eye).normalized()
        met[name] = scene.ray_cast(depsgraph, eye + 0.5 * way, way)[4]
        if met[name] == face:  # the proxy is a wire
            met[name] = _beyond(scene, depsgraph, eye, way, face)
        met[name] = "ball" if met[name] == ball else met[name].name
        bpy.data.objects.remove(ball)
    assert met["behind"] == face.effigy.plate.name
    assert met["at"] == ("ball" if display == "BACKGROUND" else face.effigy.plate.name)


def _beyond(scene, depsgraph, place, way, through):
    """Returns the first object that a ray meets, except for one."""
    obj = through
    while obj == through:
        _, place, _, _, obj, _ = scene.ray_cast(depsgraph, place + 1e-3 * way, way)
    return obj


def test_renders_of_the_background_are_those_of_the_plate(scene, face):
    from helpers import render

    scene.frame_end = 1
    (plate,) = render(scene)
    face.effigy.display = "BACKGROUND"
    (background,) = render(scene)
    np.testing.assert_array_equal(background, plate)


def test_a_file_of_an_earlier_version_has_its_picture_behind_the_head_and_no_more_in_the_camera(scene, face, settle):
    settle()
    lens, plate = face.effigy.camera.data, face.effigy.plate
    lens.background_images.new().image = face.effigy.image
    plate.hide_set(True)
    face.effigy["display"] = 1  # as in a file that is opened: no callback runs
    bpy.context.view_layer.update()
    addon("blender.scene.display").follow(face, scene)
    bpy.context.view_layer.update()
    assert face.effigy.display == "BACKGROUND"
    shown = lens.evaluated_get(bpy.context.evaluated_depsgraph_get())
    assert len(lens.background_images) == len(shown.background_images) == 0
    assert not plate.hide_get()
    assert np.abs(drawn(plate) - standing(plate)).max() > 0.5


@pytest.mark.parametrize("display", ["PLATE", "BACKGROUND", "PROJECTED"])
def test_whatever_shows_a_face_shows_its_bake_and_then_the_live_picture(scene, face, display):
    def shown():
        return {node.image for node in addon("blender.scene.display").picture_nodes(face)}

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
    assert {node.image for node in addon("blender.scene.display").picture_nodes(face)} == {face.effigy.baked}


def test_a_baked_picture_is_behind_the_head_for_every_camera(scene, face, settle):
    face.effigy.display = "BACKGROUND"
    settle()
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    other = bpy.data.objects.new("Other", bpy.data.cameras.new("Other"))
    scene.collection.objects.link(other)
    other.matrix_world = scene.camera.matrix_world
    scene.camera = other
    bpy.context.view_layer.update()
    settle()
    [modifier] = face.effigy.plate.modifiers
    assert modifier.node_group.nodes["Eye"].inputs["Object"].default_value == other
    assert {node.image for node in addon("blender.scene.display").picture_nodes(face)} == {face.effigy.baked}


def test_leaving_projected_takes_nothing_but_the_projection_off(scene, face):
    face.effigy.display = "PROJECTED"
    own = bpy.data.materials.new("Mine")
    face.data.materials.append(own)
    face.effigy.display = "PLATE"
    assert list(face.data.materials) == [own]


@pytest.mark.parametrize("lens", ["PERSP", "ORTHO"])
def test_a_plate_in_relief_is_crossed_where_the_face_is_and_looks_the_same_to_the_camera(scene, face, settle, lens):
    scene.camera.data.type, scene.camera.data.ortho_scale = lens, face.effigy.plate_size
    bpy.ops.effigy.face_camera()
    bpy.context.view_layer.update()
    settle()
    plate, eye = face.effigy.plate, scene.camera.matrix_world.translation
    flat = standing(plate)
    face.effigy.relief = True
    bpy.context.view_layer.update()
    tip = face.matrix_world @ face.data.vertices[30].co  # iBUG 30: the tip of the nose
    bent = plate.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.array([bent.matrix_world @ vertex.co for vertex in bent.data.vertices])
    assert len(points) == 65**2
    # Every point is seen where the flat plate's point was, so the picture is the same.
    places = seen(scene, points)[:, :2]
    corners = seen(scene, flat)[:, :2]
    across = np.linspace(corners[:, 0].min(), corners[:, 0].max(), 65)
    assert max(np.abs(across - each).min() for each in places[:, 0]) < 1e-4
    assert -points[:, 1].min() == pytest.approx(-tip.y, rel=0.25), "the nose stands out of the plate"
    for place, is_before in (((tip.x, tip.y / 2, tip.z), False), ((tip.x + 1.2, tip.y / 2, tip.z), True)):
        bpy.ops.mesh.primitive_uv_sphere_add(radius=0.05, location=place)
        ball = bpy.context.active_object
        depsgraph = bpy.context.evaluated_depsgraph_get()
        start = eye if lens == "PERSP" else Vector((place[0], eye.y, place[2]))
        way = (Vector(place) - start).normalized()
        met = scene.ray_cast(depsgraph, start, way)[4]
        met = _beyond(scene, depsgraph, start, way, face) if met == face else met
        assert (met == ball) is is_before
        bpy.data.objects.remove(ball)
    face.effigy.relief = False
    bpy.context.view_layer.update()
    np.testing.assert_allclose(drawn(plate), standing(plate), atol=1e-6)
    assert not [group for group in bpy.data.node_groups if "Relief" in group.name]


def test_the_mesh_is_seen_by_cameras_and_casts_a_shadow_only_while_it_wears_the_picture(scene, face):
    """Viewports of EEVEE draw what is displayed as wires, and hidden from renders, as a solid."""
    for display in ("PLATE", "PROJECTED", "BACKGROUND", "PROJECTED", "PLATE"):
        face.effigy.display = display
        worn = display == "PROJECTED"
        assert (face.visible_camera, face.visible_shadow) == (worn, worn), display
    face.visible_camera = face.visible_shadow = True  # as in a file of an earlier version
    face.effigy.relief = True
    assert (face.visible_camera, face.visible_shadow) == (False, False)
    face.effigy.display = "PROJECTED"
    face.visible_camera = face.visible_shadow = False
    face.effigy.relief = False
    assert (face.visible_camera, face.visible_shadow) == (False, False), "Ray Visibility is the artist's"


@pytest.mark.parametrize("seen", [(True, False), (False, True), (False, False)])
def test_what_is_chosen_for_the_mesh_is_there_when_it_wears_the_picture_again(scene, face, seen):
    plate = face.effigy.plate
    plate.visible_shadow = False
    face.effigy.display = "PROJECTED"
    assert (face.visible_camera, face.visible_shadow) == (True, True)
    face.visible_camera, face.visible_shadow = seen
    for display in ("PLATE", "PROJECTED", "BACKGROUND", "PLATE", "PROJECTED"):
        face.effigy.display = display
        worn = display == "PROJECTED"
        assert (face.visible_camera, face.visible_shadow) == (seen if worn else (False, False)), display
        assert (face.hide_render, plate.hide_render) == (not worn, worn)
        assert (plate.visible_camera, plate.visible_shadow) == (True, False)


@pytest.mark.parametrize("display", ["PLATE", "PROJECTED"])
def test_a_face_that_is_hidden_stays_hidden_whatever_else_is_chosen(scene, face, display):
    face.effigy.display = display
    shown = face if display == "PROJECTED" else face.effigy.plate
    shown.hide_render = True
    shown.hide_set(True)
    for name, value in (("matte", "HEAD"), ("lit", True), ("sharpen", True), ("relief", True), ("lit", False)):
        setattr(face.effigy, name, value)
        assert (shown.hide_render, shown.hide_get()) == (True, True), name


def test_hide_in_render_does_not_tell_whether_the_mesh_wears_the_picture(scene, face, settle):
    face.hide_render = False  # an artist renders the mesh
    face.effigy.display = "PROJECTED"
    assert (face.visible_camera, face.visible_shadow) == (True, True)
    face.hide_render, face.visible_shadow = True, False
    bpy.ops.object.select_all(action="DESELECT")
    face.select_set(True)
    bpy.ops.object.duplicate()
    twin = bpy.context.active_object
    settle()
    assert addon("blender.scene.projection").is_on(twin)
    assert (twin.hide_render, twin.visible_camera, twin.visible_shadow) == (True, True, False)


@pytest.mark.parametrize("linked", [False, True])
def test_a_duplicate_that_wears_its_picture_hides_its_new_plate_which_can_show_it(scene, face, settle, linked):
    """What is hidden is not duplicated, so the duplicate's plate is a new one."""
    face.effigy.display = "PROJECTED"
    bpy.ops.object.select_all(action="DESELECT")
    face.select_set(True)
    bpy.ops.object.duplicate(linked=linked)
    twin = bpy.context.active_object
    settle()
    plate = twin.effigy.plate
    assert plate != face.effigy.plate
    assert (plate.hide_render, plate.hide_get()) == (True, True)
    twin.effigy.display = "PLATE"
    assert (plate.hide_render, plate.hide_get()) == (False, False)
    assert [m.node_tree.nodes["Picture"].image for m in plate.data.materials] == [twin.effigy.image]
