# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow View: a viewport counts in the place of the scene's camera, and nothing of the scene is changed for it."""

from __future__ import annotations

import math
from functools import partial

import bpy
import numpy as np
import pytest
from conftest import addon, follower_of
from helpers import pixels
from mathutils import Matrix


class Viewport:
    """What is read of a 3D viewport's view: Blender without a window keeps none up to date."""

    def __init__(self, number=1):
        self._number, self.view_perspective, self.view_matrix = number, "PERSP", Matrix()

    def as_pointer(self):
        return self._number

    def orbit(self, scene, degrees):
        """Looks from the camera's side, turned about the upright axis."""
        self.view_matrix = (Matrix.Rotation(math.radians(degrees), 4, "Z") @ scene.camera.matrix_world).inverted()


@pytest.fixture()
def view(scene, face):
    """A viewport that looks at the face as its camera does."""
    view = Viewport()
    view.orbit(scene, 0)
    yield view
    addon("blender.pictures.preview").follow_camera()


def drawn(view):
    """What Blender calls when it draws a viewport."""
    return addon("blender.scene.viewing").viewpoint.note(view)


def test_orbiting_turns_the_face_and_the_scene_stays_as_it_is(scene, face, view, settle):
    preview, viewing = addon("blender.pictures.preview"), addon("blender.scene.viewing")
    read = addon("blender.scene.reader").read_face
    settle()
    before, by_camera = pixels(face.effigy.image), follower_of(face).shown
    stood = [np.array(obj.matrix_world) for obj in (face, scene.camera)]
    view.orbit(scene, 15)
    settle()
    assert follower_of(face).shown == by_camera, "it follows without being asked to"
    preview.follow_view(view)
    settle()
    by_view = follower_of(face).shown
    assert by_camera.yaw - by_view.yaw == pytest.approx(15, abs=3)
    assert not np.array_equal(pixels(face.effigy.image), before)
    towards = np.array(face.effigy.plate.matrix_world)[:3, 2]
    eye = np.array((view.view_matrix.inverted().translation - face.location).normalized())
    np.testing.assert_allclose(towards / np.linalg.norm(towards), eye, atol=1e-4)
    assert "viewport sees" in addon("blender.ui.face_panel").status(face).word
    # A render, a bake and a cache are seen by the camera all the same.
    assert read(face, scene, bpy.context.evaluated_depsgraph_get()).parameters == by_camera
    for obj, place in zip((face, scene.camera), stood, strict=True):
        np.testing.assert_array_equal(np.array(obj.matrix_world), place)
    assert not drawn(view), "what stands still is asked for again and again"
    view.orbit(scene, -10)
    assert drawn(view)
    preview.changes.mark()
    settle()
    assert by_camera.yaw - follower_of(face).shown.yaw == pytest.approx(-10, abs=3)
    view.view_perspective = "CAMERA"
    assert drawn(view)
    assert not viewing.viewpoint.counts, "through the camera, the camera counts"
    preview.follow_camera()
    settle()
    np.testing.assert_array_equal(pixels(face.effigy.image), before)


def test_a_dragged_point_follows_the_mouse_as_the_viewport_sees_it(scene, face, view, settle):
    view.orbit(scene, 30)
    addon("blender.pictures.preview").follow_view(view)
    drag = addon("blender.ui.grab").Drag(face, scene.camera, 30, mirror=False)
    start, across = drag.place(30), view.view_matrix.inverted().to_3x3() @ Matrix.Identity(3).col[0]
    drag.to(start + 0.1 * across, by_turning=True)
    bpy.context.view_layer.update()
    moved = drag.place(30) - start
    assert moved.dot(across) == pytest.approx(0.1, abs=0.02)


def test_the_panel_is_drawn_again_when_another_eye_counts():
    """Also when that sees a picture that is in memory, so that nothing of the face changes."""
    redraw, preview, view = addon("blender.pictures.redraw"), addon("blender.pictures.preview"), Viewport()
    look = partial(setattr, view, "view_perspective")
    changes = partial(preview.follow_view, view), partial(look, "CAMERA"), partial(look, "PERSP"), preview.follow_camera
    for change in changes:
        redraw.panels()
        assert not redraw.is_due()
        change()
        drawn(view)
        assert redraw.is_due()


def test_another_file_is_seen_by_its_camera(scene, face, view):
    addon("blender.pictures.preview").follow_view(view)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert not addon("blender.scene.viewing").viewpoint.is_on


def test_a_second_viewport_counts_once_it_is_moved(scene, face, view):
    viewing = addon("blender.scene.viewing")

    viewpoint, other = viewing.Viewpoint(), Viewport(2)
    other.view_perspective, other.view_matrix = "ORTHO", Matrix.Translation((0, 0, -5))
    viewpoint.begin(view)
    assert not viewpoint.note(other)
    seen = viewpoint.look_at(np.eye(4))
    assert seen.perspective
    other.view_matrix = Matrix.Translation((0, 0, -6))
    assert viewpoint.note(other)
    seen = viewpoint.look_at(np.eye(4))
    assert (seen.camera[2, 3], seen.perspective) == (6.0, False)
    viewpoint.end()
    assert not viewpoint.note(view)
