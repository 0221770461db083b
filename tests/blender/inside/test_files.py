# SPDX-License-Identifier: GPL-3.0-or-later
"""What a .blend carries, and what registering leaves behind."""

from __future__ import annotations

import bpy

# isort: split
import addon_utils  # bpy brings it
import numpy as np
from conftest import PACKAGE, addon
from helpers import pixels


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


def test_a_face_of_another_model_is_refused_with_a_reason(scene, face, settle):
    settle()
    face.effigy.model = "0123456789abcdef"
    state = addon("blender.session").state
    state.runs.clear()
    state.dirty = True
    addon("blender.preview").tick()
    settle()
    run = addon("blender.session").run_of(face)
    problem = run.problem
    addon("blender.preview").tick()
    assert run.opening is None, "what was refused is asked again and again"
    assert "0123456789abcdef" in problem
    assert "model" in problem


def test_the_sliders_are_the_announced_controls(scene, face):
    welcome = addon("blender.session").welcome()
    blocks = face.data.shape_keys.key_blocks[1:]
    assert [block.name for block in blocks] == [control.name for control in welcome.controls]
    for block, control in zip(blocks, welcome.controls, strict=True):
        assert block.slider_min == np.float32(max(control.low, -10))
        assert block.slider_max == np.float32(min(control.high, 10))


def test_the_plate_fills_the_frame_of_the_rigs_camera(scene, face, settle):
    from bpy_extras.object_utils import world_to_camera_view

    settle()
    plate = face.effigy.plate
    corners = [world_to_camera_view(scene, scene.camera, plate.matrix_world @ v.co) for v in plate.data.vertices]
    for corner, wanted in zip(corners, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        assert abs(corner.x - wanted[0]) < 1e-4
        assert abs(corner.y - wanted[1]) < 1e-4


def test_the_proxys_landmarks_lie_on_the_picture(scene, face, settle):
    from bpy_extras.object_utils import world_to_camera_view

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
    addon("blender.session").ensure_ready()


def test_every_operator_that_a_panel_names_exists():
    import inspect
    import re

    source = inspect.getsource(addon("blender.panel"))
    for name in re.findall(r'operator\("effigy\.(\w+)"', source):
        assert hasattr(bpy.types, f"EFFIGY_OT_{name}")


def _hooks():
    handlers = bpy.app.handlers
    return [getattr(handlers, name) for name in dir(handlers) if isinstance(getattr(handlers, name), list)]


def test_what_stands_between_a_new_face_and_its_camera_is_named(scene, face):
    hiding, warned = addon("blender.sight").hiding, addon("blender.preflight").findings

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
    assert apart.length >= addon("blender.properties").face_of(face).plate_size
