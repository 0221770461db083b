# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a face is can be changed, mixed, locked, saved and loaded; pose and expression stay."""

from __future__ import annotations

import json
import math
import time
from concurrent import futures
from dataclasses import replace
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from conftest import addon
from helpers import pixels
from mathutils import Vector


def test_another_number_is_another_person_in_the_same_pose(scene, face, settle):
    block = face.data.shape_keys.key_blocks["jawOpen"]
    block.value = 0.5
    settle()
    before, latent, shape = pixels(face.effigy.image), face.effigy.latent, np.array(face.data.vertices[8].co)
    assert bpy.ops.effigy.change_identity(seed=11, truncation=0.7) == {"FINISHED"}
    bpy.context.view_layer.update()
    settle()
    assert face.effigy.latent != latent
    assert face.effigy.seed == 11
    assert block.value == 0.5
    assert (pixels(face.effigy.image) != before).any()
    assert np.abs(np.array(face.data.vertices[8].co) - shape).max() > 1e-3, "the proxy kept the old person's shape"
    bpy.ops.effigy.change_identity(seed=4, truncation=0.7)
    bpy.context.view_layer.update()
    settle()
    np.testing.assert_array_equal(pixels(face.effigy.image), before)


def test_controls_move_the_new_persons_mesh_by_the_same_directions(scene, face):
    def opening():
        keys = face.data.shape_keys.key_blocks
        return np.array(keys["jawOpen"].data[8].co) - np.array(keys[0].data[8].co)

    before = opening()
    bpy.ops.effigy.change_identity(seed=11)
    np.testing.assert_allclose(opening(), before, atol=1e-6)


def test_somebody_new_is_another_person_at_rest_and_keeps_the_number(scene, face):
    taken = {face.effigy.seed}
    for _ in range(3):
        assert bpy.ops.effigy.add_face() == {"FINISHED"}
        added = bpy.context.active_object
        assert added.effigy.seed not in taken
        taken.add(added.effigy.seed)
        latent = added.effigy.latent
        assert bpy.ops.effigy.change_identity(seed=added.effigy.seed) == {"FINISHED"}
        assert added.effigy.latent == latent
    assert bpy.ops.effigy.random_identity() == {"FINISHED"}
    assert added.effigy.seed not in taken


def test_an_artists_own_shape_key_changes_the_mesh_alone(scene, face, settle):
    settle()
    shown = pixels(face.effigy.image)
    own = face.shape_key_add(name="Bump", from_mix=False)
    own.data[30].co.y -= 0.2
    bump = np.array(own.data[30].co) - np.array(face.data.shape_keys.key_blocks[0].data[30].co)
    own.value = 1.0
    bpy.context.view_layer.update()
    settle()
    assert not addon("blender.session").run_of(face).problem
    np.testing.assert_array_equal(pixels(face.effigy.image), shown)
    assert any("Bump changes the mesh only" in f.text for f in addon("blender.preflight").findings(scene))
    bpy.ops.effigy.change_identity(seed=11)
    own = face.data.shape_keys.key_blocks["Bump"]
    assert not own.mute
    moved = np.array(own.data[30].co) - np.array(face.data.shape_keys.key_blocks[0].data[30].co)
    np.testing.assert_allclose(moved, bump, atol=1e-5)
    bpy.ops.effigy.neutral()
    assert own.value == 1.0
    assert "Bump" not in addon("blender.controls").values_of(face)


def test_a_locked_identity_is_not_changed(scene, face):
    face.effigy.locked = True
    assert not bpy.ops.effigy.random_identity.poll()
    with pytest.raises(RuntimeError, match="locked"):
        bpy.ops.effigy.random_identity()
    face.effigy.locked = False
    assert bpy.ops.effigy.random_identity(seed=99) == {"FINISHED"}


def test_a_mixture_lies_between_and_its_ends_are_exact(scene, face, settle):
    own = face.effigy.latent_bytes()
    bpy.ops.effigy.add_face(seed=12)
    other = bpy.context.active_object
    bpy.context.view_layer.objects.active = face
    settle()
    assert bpy.ops.effigy.mix_identities(other=other.name, share=0.0) == {"FINISHED"}
    assert face.effigy.latent_bytes() == own
    bpy.ops.effigy.mix_identities(other=other.name, share=0.5)
    assert face.effigy.seed == -1
    a, b, c = (
        np.frombuffer(x, "<f4", offset=12) for x in (own, other.effigy.latent_bytes(), face.effigy.latent_bytes())
    )
    np.testing.assert_allclose(c, (a + b) / 2, atol=1e-6)
    bpy.ops.effigy.mix_identities(other=other.name, share=1.0)
    assert face.effigy.latent_bytes() == other.effigy.latent_bytes()


def test_an_identity_is_saved_and_loaded(scene, face, settle, tmp_path):
    path = tmp_path / "somebody.effigy-identity"
    latent = face.effigy.latent
    assert bpy.ops.effigy.save_identity(filepath=str(path)) == {"FINISHED"}
    bpy.ops.effigy.change_identity(seed=50)
    assert bpy.ops.effigy.load_identity(filepath=str(path)) == {"FINISHED"}
    assert face.effigy.latent == latent
    assert [p.name for p in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("change", ["garbage", "model", "latent"])
def test_a_file_that_is_no_identity_of_this_model_is_refused(scene, face, tmp_path, change):
    path = tmp_path / "bad.effigy-identity"
    bpy.ops.effigy.save_identity(filepath=str(path))
    content = json.loads(path.read_text())
    content[change] = {"model": "0123", "latent": "AAAA"}.get(change)
    path.write_text("{" if change == "garbage" else json.dumps(content))
    latent = face.effigy.latent
    with pytest.raises(RuntimeError, match=r"no saved identity|belongs to model|not an Effigy latent"):
        bpy.ops.effigy.load_identity(filepath=str(path))
    assert face.effigy.latent == latent


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


@pytest.mark.parametrize("moved", [False, True])
def test_another_person_is_rendered_to_the_pixel_too(scene, face, moved):
    """Whose plate has another size, and whose camera an artist may have moved and zoomed."""
    from helpers import read, render

    bpy.ops.effigy.change_identity(seed=7)
    if moved:
        face.effigy.camera.location.y -= 1.0
        face.effigy.camera.data.lens = 50
    bpy.ops.effigy.face_camera()
    bpy.ops.effigy.exact_view()
    scene.frame_end = 1
    (rendered,) = render(scene)
    bpy.ops.effigy.bake()
    folder = addon("blender.bake").folder_of(face)
    np.testing.assert_array_equal(rendered, read(folder / f"{folder.name}_0001.png"))


def test_another_persons_plate_fills_as_much_of_the_frame(scene, face):
    lens, size = face.effigy.camera.data.lens, face.effigy.plate_size
    bpy.ops.effigy.change_identity(seed=7)
    assert face.effigy.plate_size != size
    assert face.effigy.camera.data.lens * face.effigy.plate_size == pytest.approx(lens * size, rel=1e-5)


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


def test_the_add_menu_has_the_face(scene, face):
    assert addon("blender.panel")._add_menu in bpy.types.VIEW3D_MT_mesh_add._dyn_ui_initialize()


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


def test_an_opening_that_comes_too_late_opens_nobody(scene, face, settle):
    """The redo panel opens the next person at once while the tick's own opening of the one before is on its way."""
    settle()
    preview, session = addon("blender.preview"), addon("blender.session")
    late, before = futures.Future(), session.anchor_of(face)
    late.set_result(SimpleNamespace(identity="somebody else's"))
    bpy.ops.effigy.change_identity(seed=21)
    own = session.ensure_open(face)
    session.run_of(face).opening = late, before
    preview.tick()
    assert session.run_of(face).identity == own
    settle()


def test_two_quick_changes_open_the_last_person(scene, face, settle):
    settle()
    preview, session = addon("blender.preview"), addon("blender.session")
    bpy.ops.effigy.change_identity(seed=21)
    late, run = futures.Future(), session.run_of(face)
    late.set_result(SimpleNamespace(identity="somebody else's"))
    # The first person's opening is answered when the face is the second already; nothing else happens in the scene.
    run.opened, run.opening, run.identity = ("model", "first"), (late, ("model", "first")), ""
    session.state.dirty = False
    for _ in range(200):
        assert preview.tick() < 1.0, "an exception"
        if run.identity:
            break
        time.sleep(0.01)
    assert run.identity
    assert run.opened == session.anchor_of(face)


def test_a_control_never_takes_an_artists_shape_key(scene, face, settle):
    rig, session = addon("blender.rig"), addon("blender.session")
    own = face.shape_key_add(name="tongueOut", from_mix=False)
    own.data[30].co.y -= 0.2
    bump = np.array(own.data[30].co) - np.array(face.data.shape_keys.key_blocks[0].data[30].co)
    welcome = session.welcome()
    tongue = replace(welcome.controls[0], name="tongueOut")
    another = replace(welcome, controls=(tongue, *welcome.controls[1:]))  # a model with such a control
    identity = session.ensure_ready().call(session.open_request(face), 30)
    rig.change_identity(face, another, identity, 4)
    keys = face.data.shape_keys.key_blocks
    kept = np.array(keys["tongueOut (own)"].data[30].co) - np.array(keys[0].data[30].co)
    np.testing.assert_allclose(kept, bump, atol=1e-5)
    assert not keys["tongueOut (own)"].mute
    assert keys["jawOpen"].mute
    assert face.effigy.is_control("tongueOut")
    assert not face.effigy.is_control("tongueOut (own)")


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


def test_an_answer_about_somebody_else_is_not_shown(scene, face, settle):
    """A preview is on its way while the face becomes another person."""
    settle()
    preview, session = addon("blender.preview"), addon("blender.session")
    session.state.memory.clear()
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.7
    bpy.context.view_layer.update()
    preview.tick()
    bpy.ops.effigy.change_identity(seed=21)
    bpy.context.view_layer.update()
    settle()
    wanted = pixels(face.effigy.image)
    session.state.memory.clear()
    session.run_of(face).wanted = session.run_of(face).shown = None
    session.state.dirty = True
    settle()
    np.testing.assert_array_equal(pixels(face.effigy.image), wanted)


def test_controls_that_the_model_lacks_are_muted(scene, face):
    face.shape_key_add(name="tongueOut", from_mix=False).value = 0.5
    face.effigy.control_names += "\ntongueOut"  # as of a model that has it
    bpy.ops.effigy.change_identity(seed=3)
    assert face.data.shape_keys.key_blocks["tongueOut"].mute
    assert not face.data.shape_keys.key_blocks["jawOpen"].mute


def test_the_mesh_of_another_kind_of_model_is_refused(scene, face):
    import bmesh

    mesh = bmesh.new()
    mesh.from_mesh(face.data)
    mesh.verts.new((0, 0, 0))
    mesh.to_mesh(face.data)
    mesh.free()
    latent = face.effigy.latent
    with pytest.raises(RuntimeError, match="another kind of model"):
        bpy.ops.effigy.change_identity(seed=3)
    assert face.effigy.latent == latent


def test_leaving_projected_takes_nothing_but_the_projection_off(scene, face):
    face.effigy.display = "PROJECTED"
    own = bpy.data.materials.new("Mine")
    face.data.materials.append(own)
    face.effigy.display = "PLATE"
    assert list(face.data.materials) == [own]
