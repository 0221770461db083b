# SPDX-License-Identifier: Apache-2.0
"""Follow View: the face turns to who orbits, the panel says who sees it, and without it the camera alone counts."""

from __future__ import annotations

import numpy as np
import pytest

from .plate import clear_and_solid, colours, places_of, texels
from .steps import PANEL, SAME, picture, pixels, settle, still, until

pytestmark = pytest.mark.usefixtures("through_camera")
# How far the viewport's eye and the camera stand to the face's left, seen from above, in degrees.
AZIMUTHS = """
import math
eyes = view3d()[1].spaces.active.region_3d.view_matrix.inverted(), bpy.context.scene.camera.matrix_world
ways = [eye.translation - face().matrix_world.translation for eye in eyes]
result = [math.degrees(math.atan2(way.x, -way.y)) for way in ways]
"""
YAW = "result = addon('blender.pictures.runs').run_of(face()).follower.shown.yaw"


def follows(window):
    """Asserts that the viewport shows the face's present picture, face to face; returns the picture's yaw."""
    turned, painted, opacity = window.ask(YAW), picture(window), pixels(window)[..., 3]
    texel = texels(opacity.shape)
    places = places_of(window, texel, opacity.shape)
    width, height = np.ptp(places, axis=0)
    assert width == pytest.approx(height, rel=0.05), "the plate is not seen face to face"
    _, solid = clear_and_solid(opacity, texel)
    away = np.abs(colours(still(window), places) - painted[texel])[solid].max(axis=1)
    assert np.nanmedian(away) < SAME, "the screen shows another picture"
    return turned


def test_the_face_turns_to_who_orbits_while_the_viewport_counts(window):
    by_camera, ahead = picture(window), window.ask(YAW)
    camera = window.ask("result = bpy.context.scene.camera.name")
    window.find(camera, PANEL)
    window.press("Follow View", PANEL)
    settle(window)
    assert not window.ask("result = addon('blender.scene.viewing').viewpoint.counts"), (
        "through the camera, the camera counts"
    )
    np.testing.assert_array_equal(picture(window), by_camera)
    start, end = (300, 700), (340, 700)
    window.hold(start, button=2)
    window.lead(start, end)
    window.find("The viewport", PANEL)
    until(lambda: (picture(window) != by_camera).any(), lambda: "the face waits for the mouse to be let go")
    window.let_go(button=2)
    settle(window)
    window.find("viewport sees", PANEL)
    window.shot("05m-followed")
    by_view = picture(window)
    view, stands = window.ask(AZIMUTHS)
    assert abs(view - stands) > 5
    assert ahead - follows(window) == pytest.approx(view - stands, abs=3)
    window.keys("KP_6")
    settle(window)
    window.shot("05m-followed-further")
    view, stands = window.ask(AZIMUTHS)
    assert ahead - follows(window) == pytest.approx(view - stands, abs=3)
    assert (picture(window) != by_view).any()
    window.keys("KP_0")
    window.find(camera, PANEL)
    settle(window)
    np.testing.assert_array_equal(picture(window), by_camera)
    window.press("Follow View", PANEL)
    window.drag(start, (start[0] + 100, start[1]), button=2)
    settle(window)
    window.shot("05m-not-followed")
    window.find("what a render shows", PANEL)
    np.testing.assert_array_equal(picture(window), by_camera)
    width, height = np.ptp(places_of(window, texels((128, 128)), (128, 128)), axis=0)
    assert width < 0.95 * height, "the plate turns to a viewport that does not count"
