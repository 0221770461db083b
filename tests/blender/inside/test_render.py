# SPDX-License-Identifier: GPL-3.0-or-later
"""A render shows what the scene asks for, frame by frame and pixel by pixel."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from conftest import addon, follower_of
from helpers import give_ups, key, pixels, read, render, swing

import effigy_protocol.messages


def test_a_keyframed_turn_changes_every_rendered_frame(scene, face):
    # While rendering, only evaluated objects are animated: reading the originals would freeze the face.
    swing(face, scene, 25)
    frames = render(scene)
    assert len({frame.tobytes() for frame in frames}) == len(frames)


def test_a_keyframed_expression_changes_every_rendered_frame(scene, face):
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    frames = render(scene)
    assert len({frame.tobytes() for frame in frames}) == len(frames)


def test_a_moving_camera_changes_every_rendered_frame(scene, face):
    pivot = bpy.data.objects.new("Pivot", None)
    scene.collection.objects.link(pivot)
    scene.camera.parent = pivot
    swing(pivot, scene, 20)
    frames = render(scene)
    assert len({frame.tobytes() for frame in frames}) == len(frames)


def test_a_driven_control_is_read_as_evaluated(scene, face):
    curve = face.data.shape_keys.key_blocks["jawOpen"].driver_add("value")
    curve.driver.type = "SUM"
    variable = curve.driver.variables.new()
    variable.type = "SINGLE_PROP"
    variable.targets[0].id_type = "SCENE"
    variable.targets[0].id = scene
    variable.targets[0].data_path = "frame_current"
    scene.frame_start, scene.frame_end = 0, 1
    closed, opened = render(scene)
    assert (closed != opened).any()


def test_a_strip_of_the_nonlinear_editor_is_rendered_where_it_lies(scene, face):
    swing(face, scene, 25)
    expected = render(scene)
    animation = face.animation_data
    action = animation.action
    strip = animation.nla_tracks.new().strips.new("swing", 11, action)
    if bpy.app.version >= (4, 4, 0):
        strip.action_slot = action.slots[0]
    animation.action = None
    scene.frame_start, scene.frame_end = 11, 14
    for shown, wanted in zip(render(scene), expected, strict=True):
        np.testing.assert_array_equal(shown, wanted)


def test_a_rendered_frame_is_the_generators_picture_exactly(scene, face):
    swing(face, scene, 25)
    rendered = render(scene)
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    baked = [read(path) for path in sorted(addon("blender.pictures.bake").folder_of(face).glob("*.png"))]
    for picture, file in zip(rendered, baked, strict=True):
        np.testing.assert_array_equal(picture, file)


def test_a_baked_face_renders_the_same_pixels_without_a_backend(scene, face):
    swing(face, scene, 25)
    rendered = render(scene)
    bpy.ops.effigy.bake()
    painted = _painted()
    for live, baked in zip(rendered, render(scene), strict=True):
        np.testing.assert_array_equal(live, baked)
    assert _painted() == painted, "rendering a baked face asked the backend for pictures"


def test_back_to_live_paints_again_and_keeps_the_files(scene, face):
    swing(face, scene, 25)
    bpy.ops.effigy.bake()
    folder = addon("blender.pictures.bake").folder_of(face)
    assert bpy.ops.effigy.show_live() == {"FINISHED"}
    painted = _painted()
    render(scene)
    assert _painted() == painted + 4
    assert len(list(folder.glob("*.png"))) == 4


def test_rendering_does_not_depend_on_the_order_of_frames(scene, face):
    swing(face, scene, 25)
    forwards = render(scene)
    for frame in (3, 1, 4, 2):
        scene.frame_set(frame)
        scene.render.filepath = f"{bpy.path.abspath('//')}single_{frame}.png"
        bpy.ops.render.render(write_still=True)
        np.testing.assert_array_equal(read(scene.render.filepath), forwards[frame - 1])


def test_a_render_of_the_rest_pose_asks_for_exactly_that_pose(scene, face):
    # tests/end_to_end and tests/backend test that this is the generator's own picture, bit for bit.
    scene.frame_end = 1
    (frame,) = render(scene)
    shown = follower_of(face).shown
    assert (shown.yaw, shown.pitch) == (round(face.effigy.rest_yaw, 4), round(face.effigy.rest_pitch, 4))
    assert shown.controls == ()
    np.testing.assert_array_equal(frame, pixels(face.effigy.image))


def test_roll_turns_the_plate_and_not_the_picture(scene, face):
    face.rotation_mode = "XYZ"
    bpy.context.view_layer.update()
    reader = addon("blender.scene.reader")
    before = reader.read_face(face, scene, bpy.context.evaluated_depsgraph_get())
    # The camera looks along +Y: a turn about Y is a roll, counter-clockwise as the camera sees it when negative.
    face.matrix_world = _about_view_axis(-20) @ face.matrix_world
    bpy.context.view_layer.update()
    after = reader.read_face(face, scene, bpy.context.evaluated_depsgraph_get())
    assert abs(after.parameters.yaw - before.parameters.yaw) < 1e-3
    assert abs(after.parameters.pitch - before.parameters.pitch) < 1e-3
    turned = after.plate[:3, :3] @ np.linalg.inv(before.plate[:3, :3])
    assert abs(np.degrees(np.arccos((np.trace(turned) - 1) / 2)) - 20) < 1e-3


EEVEE = "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0, 0) else "BLENDER_EEVEE"


@pytest.mark.parametrize("engine", [EEVEE, "BLENDER_WORKBENCH"])
def test_other_engines_show_every_frames_own_picture_exactly(scene, face, engine):
    swing(face, scene, 25)
    scene.render.engine = engine
    scene.eevee.taa_render_samples = 1
    scene.frame_end = 2
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    rendered = render(scene)
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    baked = [read(path) for path in sorted(addon("blender.pictures.bake").folder_of(face).glob("*.png"))]
    for picture, file in zip(rendered, baked, strict=True):
        np.testing.assert_array_equal(picture, file)


def test_frames_in_which_exact_pixels_would_tear_are_named(scene, face):
    def torn():
        return [f.text for f in addon("blender.ui.preflight").findings(scene) if "tear" in f.text]

    scene.frame_end = 2
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    assert torn() == []
    face.matrix_world = face.matrix_world @ _about_view_axis(-3)
    key(face, "jawOpen", (1, 0.0), (2, 1.0))
    assert len(torn()) == 1
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}  # smooth, since the squares cannot be shown
    assert torn() == []
    texts = [f.text for f in addon("blender.ui.preflight").findings(scene)]
    assert any("its picture is rolled, so its pixels are mixed" in text and "2 frames in all" in text for text in texts)
    assert bpy.ops.effigy.face_camera() == {"FINISHED"}
    assert not any("rolled" in f.text for f in addon("blender.ui.preflight").findings(scene))


def _about_view_axis(degrees):
    from mathutils import Matrix

    return Matrix.Rotation(np.radians(degrees), 4, "Y")


def _painted():
    messages = effigy_protocol.messages
    return addon("blender.pictures.session").session.ensure_ready().link.call(messages.Status(), 300).painted


def test_a_view_layer_without_the_face_renders_too(scene, face, settle, monkeypatch):
    swing(face, scene, 25)
    expected = render(scene)
    without = scene.view_layers.new("Without")
    without.layer_collection.children[face.users_collection[0].name].exclude = True
    said = give_ups(monkeypatch)
    for shown, wanted in zip(render(scene), expected, strict=True):
        np.testing.assert_array_equal(shown, wanted)
    assert said == []


@pytest.mark.parametrize("hidden", ["collection", "excluded"])
def test_a_face_that_nothing_renders_is_not_painted(scene, face, settle, monkeypatch, hidden):
    settle()
    collection = face.users_collection[0]
    layer = bpy.context.view_layer.layer_collection.children[collection.name]
    if hidden == "collection":
        collection.hide_render = True
    else:
        layer.exclude = True
    bpy.context.view_layer.update()
    said, painted = give_ups(monkeypatch), []
    monkeypatch.setattr(addon("blender.pictures.render"), "paint", lambda *_: painted.append(1))
    render(scene)
    assert said == painted == []


def test_a_moment_is_painted_once_for_all_view_layers(scene, face, settle, monkeypatch):
    swing(face, scene, 25)
    scene.view_layers.new("Again")
    module, asked = addon("blender.pictures.render"), []
    painted = module._painted
    monkeypatch.setattr(module, "_painted", lambda *arguments: asked.append(1) or painted(*arguments))
    addon("blender.pictures.runs").runs.memory.clear()
    render(scene)
    assert len(asked) == 4


def test_a_missing_file_of_a_bake_ends_the_render(scene, face, settle, monkeypatch):
    swing(face, scene, 25)
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    gone = addon("blender.pictures.stale").file_of(face, 2)
    gone.unlink()
    said = give_ups(monkeypatch)
    render(scene)
    assert len(said) == 1
    assert "frame 2 of Face 4" in said[0]
    assert f"{gone} is missing" in said[0]
    assert any("1 baked pictures are missing" in f.text for f in addon("blender.ui.preflight").findings(scene))


def test_a_plate_without_its_picture_ends_the_render_and_an_artists_own_material_does_not(
    scene, face, settle, monkeypatch
):
    settle()
    scene.frame_end = 1
    plate = face.effigy.plate.data
    plate.materials[0].node_tree.nodes["Picture"].name = "Mine"  # built anew around the image
    said = give_ups(monkeypatch)
    render(scene)
    assert said == []
    plate.materials.clear()
    render(scene)
    assert len(said) == 1
    assert "lost its picture" in said[0]
    assert any("lost its picture" in f.text for f in addon("blender.ui.preflight").findings(scene))


@pytest.mark.parametrize("samples", [4, 16])
@pytest.mark.parametrize("roll", [0.0, 3e-4])
def test_cycles_is_exact_with_many_samples_too(scene, face, samples, roll):
    assert bpy.ops.effigy.face_camera() == {"FINISHED"}
    face.rotation_euler.rotate_axis("Y", roll)  # a hundredth of a degree, as manual posing may leave
    scene.frame_end, scene.cycles.samples, scene.cycles.filter_width = 1, samples, 1.5
    assert any("softened by" in f.text for f in addon("blender.ui.preflight").findings(scene))
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    assert not any("softened by" in f.text for f in addon("blender.ui.preflight").findings(scene))
    (rendered,) = render(scene)
    # One sample in fifty thousand of a rolled square falls outside of it; a box filter would blur nine hundred values.
    assert np.count_nonzero(rendered != pixels(face.effigy.image)) <= (20 if roll else 0)
    scene.cycles.use_denoising = True
    assert any("softened by denoising" in f.text for f in addon("blender.ui.preflight").findings(scene))


def test_every_render_tells_of_a_stale_bake(scene, face, settle, monkeypatch):
    said = []
    monkeypatch.setattr(addon("blender.pictures.render"), "_say", said.append)
    bpy.ops.effigy.bake()
    face.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    settle()  # the preview has noticed the change
    for times in (1, 2):
        render(scene)
        assert len(said) == times


@pytest.mark.parametrize(("position", "shutter"), [("CENTER", 0.5), ("CENTER", 2.0), ("START", 1.0), ("END", 1.0)])
def test_a_bake_renders_with_motion_blur(scene, face, settle, monkeypatch, position, shutter):
    # Which looks before the first frame and after the last.
    swing(face, scene, 25)
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    expected = render(scene)
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.device = 1, "CPU"
    scene.render.use_motion_blur, scene.render.motion_blur_shutter = True, shutter
    scene.render.motion_blur_position = position
    said, given_up = [], give_ups(monkeypatch)
    monkeypatch.setattr(addon("blender.pictures.render"), "_say", said.append)
    assert len(render(scene)) == len(expected)
    assert given_up == []
    assert said == [], "an unchanged bake was called stale"


def test_a_hidden_instance_of_a_live_face_is_no_obstacle(scene, face, settle):
    instancer = bpy.data.objects.new("Instance", None)
    instancer.instance_type, instancer.instance_collection = "COLLECTION", face.users_collection[0]
    scene.collection.objects.link(instancer)
    bpy.context.view_layer.update()
    module = addon("blender.pictures.render")
    assert module.frozen_instances(scene) == [instancer]
    instancer.hide_render = True
    assert module.frozen_instances(scene) == []
