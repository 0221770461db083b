# SPDX-License-Identifier: GPL-3.0-or-later
"""The contents of a .blend, and the effects of registering and unregistering."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

import bpy

# isort: split
import addon_utils  # bpy brings it
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from conftest import PACKAGE, addon, follower_of
from helpers import open_mouth_as_a_step, pixels
from test_preview import error_pixels


def test_a_saved_face_shows_its_picture_before_any_backend_answers(scene, face, settle):
    settle()
    before = pixels(face.effigy.image)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    np.testing.assert_array_equal(pixels(bpy.context.scene.objects["Face 4"].effigy.image), before)


def test_a_reopened_face_is_the_same_face(scene, face, settle):
    settle()
    before = pixels(face.effigy.image)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    proxy = bpy.context.scene.objects["Face 4"]
    block = proxy.data.shape_keys.key_blocks["jawOpen"]
    block.value = 1.0
    bpy.context.view_layer.update()
    settle()
    assert (pixels(proxy.effigy.image) != before).any()
    block.value = 0.0
    bpy.context.view_layer.update()
    settle()
    np.testing.assert_array_equal(pixels(proxy.effigy.image), before)


@pytest.fixture()
def unplugged(monkeypatch):
    """Returns a function that takes the backend away from Blender until it is called again."""
    session = addon("blender.pictures.session").session
    identities = session.identities

    def unplug():
        monkeypatch.setattr(session, "identities", None if session.identities is identities else identities)

    return unplug


def test_a_reopened_face_without_a_backend_shows_no_other_poses_picture(scene, face, settle, unplugged):
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.4
    bpy.context.view_layer.update()
    settle()
    right = pixels(face.effigy.image)
    bpy.ops.wm.save_mainfile()
    unplugged()
    preview = addon("blender.pictures.preview")
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    proxy = bpy.context.scene.objects["Face 4"]
    block = proxy.data.shape_keys.key_blocks["jawOpen"]

    def shown(value):
        block.value = value
        bpy.context.view_layer.update()
        preview.tick()
        return pixels(proxy.effigy.image)

    preview.tick()
    np.testing.assert_array_equal(pixels(proxy.effigy.image), right)
    np.testing.assert_array_equal(shown(0.8), error_pixels(proxy))
    assert "press Start Backend" in follower_of(proxy).problem
    np.testing.assert_array_equal(shown(0.4), right, "the file's own picture comes back with its pose")
    assert not follower_of(proxy).problem
    shown(0.8)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    proxy = bpy.context.scene.objects["Face 4"]
    preview.tick()
    np.testing.assert_array_equal(pixels(proxy.effigy.image), error_pixels(proxy), "saved with its stripes")
    unplugged()
    settle()
    assert follower_of(proxy).is_exact


def test_a_file_that_does_not_say_what_its_picture_shows_is_believed_until_something_moves(
    scene, face, settle, unplugged
):
    settle()
    right = pixels(face.effigy.image)
    bpy.ops.wm.save_mainfile()
    face.effigy.shown = ""
    unplugged()
    addon("blender.pictures.runs").runs.clear()  # as after opening it
    addon("blender.pictures.preview").tick()
    np.testing.assert_array_equal(pixels(face.effigy.image), right)
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.8
    bpy.context.view_layer.update()
    addon("blender.pictures.preview").tick()
    np.testing.assert_array_equal(pixels(face.effigy.image), error_pixels(face))


def test_without_a_backend_an_undo_brings_no_other_poses_picture(scene, face, settle, unplugged):
    settle()
    open_mouth_as_a_step(face, settle)
    unplugged()
    addon("blender.pictures.preview").tick()
    assert not follower_of(bpy.context.scene.objects["Face 4"]).problem
    bpy.ops.ed.undo()
    bpy.context.view_layer.update()
    addon("blender.pictures.preview").tick()
    proxy = bpy.context.scene.objects["Face 4"]
    np.testing.assert_array_equal(pixels(proxy.effigy.image), error_pixels(proxy))


def test_a_face_of_another_model_is_refused_with_a_reason(scene, face, settle):
    settle()
    face.effigy.model = "0123456789abcdef"
    addon("blender.pictures.runs").runs.clear()
    addon("blender.pictures.activity").changes.mark()
    addon("blender.pictures.preview").tick()
    settle()
    run = follower_of(face)
    problem = run.problem
    addon("blender.pictures.preview").tick()
    assert not run.face.is_opening, "what was refused is asked again and again"
    assert "0123456789abcdef" in problem
    assert "model" in problem


def test_the_sliders_are_the_announced_controls(scene, face):
    welcome = addon("blender.pictures.session").session.welcome
    blocks = face.data.shape_keys.key_blocks[1:]
    assert [block.name for block in blocks] == [control.name for control in welcome.controls]
    relaxed = {item.name: -item.value for item in face.effigy.own}  # sliders reach the average expression
    for block, control in zip(blocks, welcome.controls, strict=True):
        assert block.slider_min == np.float32(max(min(control.low, relaxed.get(control.name, 0.0)), -10))
        assert block.slider_max == np.float32(min(max(control.high, relaxed.get(control.name, 0.0)), 10))


def test_the_plate_fills_the_frame_of_the_rigs_camera(scene, face, settle):
    settle()
    plate = face.effigy.plate
    corners = [world_to_camera_view(scene, scene.camera, plate.matrix_world @ v.co) for v in plate.data.vertices]
    for corner, wanted in zip(corners, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        assert abs(corner.x - wanted[0]) < 1e-4
        assert abs(corner.y - wanted[1]) < 1e-4


def test_the_proxys_landmarks_lie_on_the_picture(scene, face, settle):
    settle()
    nose, chin = (
        world_to_camera_view(scene, scene.camera, face.matrix_world @ face.data.vertices[i].co) for i in (30, 8)
    )
    assert 0.3 < nose.x < 0.7
    assert 0.3 < nose.y < 0.6
    assert chin.y < nose.y - 0.1


def test_disabling_and_enabling_leaves_one_of_each_handler(scene, backend):
    addon_utils.disable(PACKAGE)
    ours = [h for hook in _hooks() for h in hook if "effigy" in getattr(h, "__module__", "")]
    assert ours == []
    addon_utils.enable(PACKAGE, default_set=True)
    expected = addon("blender.handlers")._HANDLERS
    assert len(expected) == 10
    for hook, function in expected:
        assert [h for h in hook if "effigy" in getattr(h, "__module__", "")] == [function]
    bpy.context.preferences.addons[PACKAGE].preferences.command = __import__("os").environ["EFFIGY_COMMAND"]
    bpy.ops.effigy.connect()
    addon("blender.pictures.session").session.ensure_ready()


def test_every_operator_that_a_panel_names_exists():
    files = Path(addon("blender.ui.panel").__file__).parent.glob("*.py")
    named = {name for file in files for name in re.findall(r'operator\("effigy\.(\w+)"', file.read_text())}
    assert "bake" in named
    assert {name for name in named if not hasattr(bpy.types, f"EFFIGY_OT_{name}")} == set()


def _hooks():
    handlers = bpy.app.handlers
    return [getattr(handlers, name) for name in dir(handlers) if isinstance(getattr(handlers, name), list)]


def test_what_stands_between_a_new_face_and_its_camera_is_named(scene, face):
    hiding, warned = addon("blender.scene.obstacles").hiding, addon("blender.ui.preflight").findings

    def before():
        bpy.context.view_layer.update()
        named = hiding(bpy.context, face, scene.camera)
        assert any("Cube stands in front" in finding.text for finding in warned(scene)) == ("Cube" in named)
        return named

    assert before() == []
    bpy.ops.mesh.primitive_cube_add()  # where Blender's default cube stands
    cube = bpy.context.object
    assert before() == ["Cube"]
    scene.camera.data.type = "ORTHO"
    assert before() == ["Cube"]
    cube.hide_render = True
    assert before() == []
    cube.hide_render, cube.location.y = False, 20.0
    assert before() == []


def test_a_second_face_stands_beside_the_first(scene, face):
    assert bpy.ops.effigy.add_face(seed=5) == {"FINISHED"}
    bpy.context.view_layer.update()
    apart = bpy.context.active_object.matrix_world.translation - face.matrix_world.translation
    assert apart.length >= addon("blender.scene.properties").face_of(face).plate_size


@pytest.mark.parametrize("resolution", [(1920, 1080), (512, 512), (600, 1000)])
def test_a_row_of_faces_is_in_view_and_within_what_the_model_has_learnt(scene, backend, settle, resolution):
    scene.render.resolution_x, scene.render.resolution_y = resolution
    read = addon("blender.scene.reader").read_face
    for number in range(5):
        assert bpy.ops.effigy.add_face(seed=number) == {"FINISHED"}
        bpy.context.view_layer.update()
        new = bpy.context.active_object
        wanted = read(new, scene, bpy.context.evaluated_depsgraph_get())
        # A new face shows its own picture.
        assert (wanted.parameters.yaw, wanted.parameters.pitch) == pytest.approx(
            (new.effigy.rest_yaw, new.effigy.rest_pitch), abs=1e-3
        )
    settle()
    for proxy in addon("blender.scene.queries").faces(scene):
        corners = [proxy.effigy.plate.matrix_world @ vertex.co for vertex in proxy.effigy.plate.data.vertices]
        seen = np.array([world_to_camera_view(scene, scene.camera, corner) for corner in corners])
        assert seen[:, :2].min() > -0.01
        assert seen[:, :2].max() < 1.01
        wanted = read(proxy, scene, bpy.context.evaluated_depsgraph_get())
        # A camera that steps back for others sees the first face from a slightly different angle.
        assert (wanted.parameters.yaw, wanted.parameters.pitch) == pytest.approx(
            (proxy.effigy.rest_yaw, proxy.effigy.rest_pitch), abs=7
        )
        assert not follower_of(proxy).limits.clamped


@pytest.mark.parametrize("touched", ["moved", "turned", "keyed", "exact", "ortho", "other"])
def test_a_camera_that_somebody_has_set_stays_and_who_stands_outside_is_told(scene, backend, capsys, touched):
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    bpy.context.view_layer.update()
    if touched == "moved":
        scene.camera.location.x += 0.1
    elif touched == "turned":
        scene.camera.rotation_euler.z += 0.1
    elif touched == "keyed":
        scene.camera.keyframe_insert("location", frame=1)
    elif touched == "exact":
        bpy.ops.effigy.exact_view()
    elif touched == "ortho":
        scene.camera.data.type, scene.camera.data.ortho_scale = "ORTHO", 1.0
    else:
        scene.camera = bpy.data.objects.new("Mine", scene.camera.data.copy())
        scene.collection.objects.link(scene.camera)
        scene.camera.matrix_world = bpy.data.objects["Face 4 Camera"].matrix_world
    bpy.context.view_layer.update()
    before = scene.camera.matrix_world.copy()
    for number in (5, 6):
        assert bpy.ops.effigy.add_face(seed=number) == {"FINISHED"}
        bpy.context.view_layer.update()
    assert scene.camera.matrix_world == before
    assert re.search("Face [56] stands outside the view of", capsys.readouterr().out)


def test_who_puts_the_cursor_elsewhere_chooses_the_place(scene, face):
    before = scene.camera.matrix_world.copy()
    scene.cursor.location = (9, 0, 0)
    assert bpy.ops.effigy.add_face(seed=5) == {"FINISHED"}
    bpy.context.view_layer.update()
    assert scene.camera.matrix_world == before
    assert bpy.context.active_object.location.x == 9


def test_a_file_is_chosen_by_the_faces_name_and_never_by_the_blends(scene, face, tmp_path, monkeypatch):
    choosing, helpers = addon("blender.ui.choosing"), importlib.import_module("bpy_extras.io_utils")
    for helper in (helpers.ImportHelper, helpers.ExportHelper):
        monkeypatch.setattr(helper, "invoke", lambda self, context, event: {"RUNNING_MODAL"})

    class Reader(choosing.OpensFile):
        filepath = ""

    class Writer(choosing.WritesFile):
        filepath, filename_ext = "", ".csv"

    face.name = "Anna: a/b"
    for chooser, wanted in ((Reader(), ""), (Writer(), "Anna__a_b.csv")):
        assert chooser.invoke(bpy.context, None) == {"RUNNING_MODAL"}
        assert chooser.filepath == f"{tmp_path}{os.sep}{wanted}"
        chooser.filepath = "before.csv"
        chooser.invoke(bpy.context, None)
        assert chooser.filepath == "before.csv", "what was chosen the last time"
    ours = [getattr(bpy.types, name) for name in dir(bpy.types) if name.startswith("EFFIGY_OT_")]
    asking = [cls for cls in ours if issubclass(cls, (helpers.ImportHelper, helpers.ExportHelper))]
    assert len(asking) >= 8
    assert not [cls for cls in asking if not issubclass(cls, (choosing.OpensFile, choosing.WritesFile))]
