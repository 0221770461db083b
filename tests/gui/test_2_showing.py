# SPDX-License-Identifier: Apache-2.0
"""The window shows the present scene: no old pictures, nothing behind a head drawn before it, no jumping rows."""

from __future__ import annotations

import numpy as np
import pytest

from .steps import PANEL, changed, hover, opened, picture, rolled, settle, still, until, values

BALL = """
import bmesh
from mathutils import Vector
size = face().matrix_world.median_scale
mesh, made = bpy.data.meshes.new("Ball"), bmesh.new()
bmesh.ops.create_icosphere(made, subdivisions=3, radius=0.3 * size)
made.to_mesh(mesh)
made.free()
ball = bpy.data.objects.new("Ball", mesh)
ball.location = size * Vector({place})
bpy.context.scene.collection.objects.link(ball)
"""
COUNT = "result = len(addon('blender.scene.queries').faces(bpy.context.scene))"
EXACT = """
run_of = addon('blender.pictures.runs').run_of
result = [run_of(proxy).follower.is_exact for proxy in addon('blender.scene.queries').faces(bpy.context.scene)]
"""
NO_BALL = "bpy.data.objects.remove(bpy.data.objects['Ball'])"


def show(window, label):
    """Chooses how the picture is shown; returns the viewport at rest."""
    window.press(label, PANEL)
    settle(window)
    return still(window)


def test_leaving_the_background_leaves_nothing_in_the_viewport(window):
    window.ask("bpy.context.view_layer.objects.active = face(); face().select_set(True)")
    with opened(window, "In the Shot"):
        plate = show(window, "P.ate")
        projected = show(window, "Projected")
        assert changed(plate, projected) > 0.02
        assert changed(show(window, "Background"), plate) < 0.01
        assert changed(show(window, "P.ate"), plate) < 0.002, "something of the background stays"
        show(window, "Background")
        assert changed(show(window, "Projected"), projected) < 0.002, "the old square is behind the face"
        window.shot("05d-projected-after-background")
        assert changed(show(window, "P.ate"), plate) < 0.002


def test_the_background_hides_what_stands_behind_the_head_and_shows_what_stands_at_it(window):
    seen = {}
    with opened(window, "In the Shot"):
        for label in ("P.ate", "Background"):
            empty = show(window, label)
            for where, place in (("behind", (0.4, 2.5, 0.5)), ("at", (0.4, 0.7, 0.5))):
                window.ask(BALL.format(place=place))
                seen[label, where] = changed(still(window), empty)
                window.shot(f"05e-{label.replace('.', 'l').lower()}-{where}")
                window.ask(NO_BALL)
        show(window, "P.ate")
    assert seen["P.ate", "behind"] < 5e-4, seen
    assert seen["Background", "behind"] < 5e-4, "a ball behind the head is drawn before it"
    assert seen["Background", "at"] > 2e-3, seen


def rows(window):
    """Returns the positions of rows below the panel's status texts."""
    return {name: window.find_still(name, PANEL) for name in ("Grab Points", "awOpen")}


def same_rows(window, expected, when):
    found = rows(window)
    for name, place in expected.items():
        assert found[name] == pytest.approx(place, abs=4), f"{name} has moved when {when}"


def test_no_row_moves_while_states_change_and_what_is_limited_is_not_called_exact(window):
    expected = rows(window)
    window.find("Exact: what a render", PANEL)
    window.ask("bpy.app.driver_namespace['stood'] = face().matrix_world.copy()\nface().rotation_euler.z += 1.2")
    settle(window)
    window.find("Limited, as a render", PANEL)
    window.shot("05f-limited")
    assert not [line for line, _, _ in window.words(PANEL) if "Exact:" in line]
    same_rows(window, expected, "the turn is beyond the range")
    window.ask("face().matrix_world = bpy.app.driver_namespace.pop('stood')")
    settle(window)
    window.press("^.{0,3}Stop$", PANEL)
    window.find("Not running", PANEL)
    same_rows(window, expected, "the backend stops")
    window.press("^.{0,3}Start Backend", PANEL)
    window.find("Ready", PANEL)
    settle(window)
    same_rows(window, expected, "it is ready again")


def test_a_second_and_a_third_face_come_into_view(window):
    window.ask("bpy.app.driver_namespace['camera'] = bpy.context.scene.camera.matrix_world.copy()")
    for number in (2, 3):
        window.press("^.{0,3}Add Face", PANEL)
        until(lambda number=number: window.ask(COUNT) == number, window.console)
    until(lambda: all(window.ask(EXACT)), window.console)
    window.shot("05g-three-faces")
    inside, clamped = window.ask(
        "from bpy_extras.object_utils import world_to_camera_view\n"
        "scene = bpy.context.scene\n"
        "faces, inside = addon('blender.scene.queries').faces(scene), []\n"
        "for proxy in faces:\n"
        "    plate = proxy.effigy.plate\n"
        "    for vertex in plate.data.vertices:\n"
        "        inside += world_to_camera_view(scene, scene.camera, plate.matrix_world @ vertex.co)[:2]\n"
        "run_of = addon('blender.pictures.runs').run_of\n"
        "result = [[min(inside), max(inside)], [run_of(proxy).follower.limits.clamped for proxy in faces]]"
    )
    assert inside[0] > -0.01
    assert inside[1] < 1.01
    assert not any(clamped), clamped
    window.press("Remove Face", PANEL)
    window.find("Select a face", PANEL)
    window.ask("bpy.context.view_layer.objects.active = addon('blender.scene.queries').faces(bpy.context.scene)[-1]")
    hover(window)  # or the button under the pointer stays grey, as it was
    window.find("Grab Points", PANEL)  # drawn again: what is grey cannot be pressed
    window.press("Remove Face", PANEL)
    until(lambda: window.ask(COUNT) == 1, window.console)
    window.ask(
        "bpy.context.scene.camera.matrix_world = bpy.app.driver_namespace.pop('camera')\n"
        "bpy.context.view_layer.objects.active = face(); face().select_set(True)"
    )
    settle(window)


def test_the_check_tells_of_a_rolled_head(window):
    with rolled(window, 0.3), opened(window, "Render"):
        window.press("Check B.+Rendering", PANEL)
        window.find("picture is rolled")
        window.shot("05h-rolled")
        hover(window)
        window.keys("Escape")


def test_a_file_that_is_opened_without_a_backend_shows_no_old_picture(window):
    path = window.work / "reopened.blend"
    window.ask(f"bpy.ops.wm.save_as_mainfile(filepath={str(path)!r})")
    right = picture(window)
    window.press("^.{0,3}Stop$", PANEL)
    window.find("Not running", PANEL)
    window.ask(
        "def reopen():\n"
        f"    bpy.ops.wm.open_mainfile(filepath={str(path)!r})\n"
        "    bpy.app.driver_namespace['reopened'] = True\n"
        "bpy.app.timers.register(reopen)"
    )
    until(lambda: window.ask("result = 'reopened' in bpy.app.driver_namespace"), window.console)
    window.find("Not running", PANEL)
    np.testing.assert_array_equal(picture(window), right)
    x, y = window.find_still("awOpen", PANEL)
    window.drag((x, y), (x + 120, y))
    assert values(window)["jawOpen"] > 0.1
    until(lambda: (picture(window) != right).any(), lambda: "an old picture stands as if it were right")
    stripes = picture(window).reshape(-1, 3)
    assert len(np.unique(stripes, axis=0)) < 8, "no stripes"
    window.find("No picture", PANEL)
    window.shot("05i-reopened")
    window.press("Neutral", PANEL)
    until(lambda: (picture(window) == right).all(), lambda: "the file's own picture does not come back")
    window.press("^.{0,3}Start Backend", PANEL)
    window.find("Ready", PANEL)
    settle(window)
    np.testing.assert_array_equal(picture(window), right)
