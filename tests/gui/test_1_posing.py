# SPDX-License-Identifier: Apache-2.0
"""Backend, face, sliders, posing: by mouse and keyboard in a real window; every step saves a screenshot."""

from __future__ import annotations

import time

import numpy as np
import pytest

from .steps import (
    CATEGORY,
    PANEL,
    PREPARE,
    drawn_by_eevee,
    finished_viewport,
    hover,
    landmark,
    opened,
    picture,
    put_tool_away,
    settle,
    shows_face,
    until,
    values,
    viewport,
)
from .window import SIZE


def test_the_panel_is_there(window):
    window.ask(PREPARE)
    time.sleep(1.5)
    window.ask(CATEGORY)
    window.find("Start Backend", PANEL)
    hover(window)
    window.keys("a", "x")
    window.shot("01-panel")
    window.keys("Return")
    time.sleep(0.5)
    assert window.ask("result = len(bpy.context.scene.objects)") == 0


def test_the_preferences_say_where_the_backend_is(window):
    window.ask("bpy.ops.preferences.addon_show(module='bl_ext.user_default.effigy')")
    _, y = window.find("Picture Memory")
    left, right, top, bottom = window.ask(
        "opened = bpy.context.window_manager.windows[-1]\n"
        f"top = {SIZE[1]} - opened.y - opened.height\n"
        "result = [max(opened.x, 0), opened.x + opened.width, top, top + opened.height]"
    )
    window.shot("00-preferences", np.s_[max(round(y) - 240, top) : min(round(y) + 160, bottom), left:right])
    window.click(right - 19, top + 17)  # the arrow in its corner, under which the menu hides
    window.find("Install from Disk")
    window.shot("00-install", np.s_[top : top + 185, left:right])
    window.keys("Escape")
    window.ask(
        "for opened in bpy.context.window_manager.windows[1:]:\n"
        "    with bpy.context.temp_override(window=opened):\n"
        "        bpy.ops.wm.window_close()"
    )
    time.sleep(0.5)


def test_the_backend_starts_by_a_click(window):
    window.press("^.{0,3}Start Backend", PANEL)
    window.find("Ready", PANEL)
    window.shot("02-ready")


def test_a_face_is_added_by_a_click_and_seen_in_the_viewport(window):
    before = viewport(window)
    window.ask("bpy.ops.mesh.primitive_cube_add()")  # as Blender begins a scene
    window.press("^.{0,3}Add Face", PANEL)
    until(lambda: SIZE[1] - 100 > window.find("stands in front of", slice(740, 1110))[1], window.console)
    window.shot("02a-cube")
    window.ask("bpy.data.objects.remove(bpy.data.objects['Cube'])\nbpy.ops.ed.undo_push(message='Cube')")
    hover(window)
    window.keys("Escape", "KP_0")  # the first closes what popped up, as a hand does that moves away
    settle(window)
    time.sleep(1.0)
    window.shot("03-first-face")
    changed = np.abs(viewport(window) - before).max(axis=2) > 40
    assert changed.mean() > 0.08, "the viewport shows no face"  # with little hair, too
    window.find("^.{0,3}Render$", PANEL)  # the panel's last part: all of it is on the screen
    # The window shows the picture's own colours.
    assert shows_face(window)


def test_a_slider_opens_the_mouth(window):
    rest = picture(window)
    x, y = window.find_still("awOpen", PANEL)
    window.drag((x, y), (x + 150, y))
    settle(window)
    assert values(window)["jawOpen"] > 0.2
    assert np.abs(picture(window).astype(int) - rest).max() > 40
    window.shot("04-slider")


def test_neutral_brings_the_first_picture_back(window):
    window.press("Neutral", PANEL)
    settle(window)
    assert set(values(window).values()) == {0.0}


def test_the_head_turns_with_blenders_own_tools(window):
    before = picture(window)
    window.ask("bpy.context.view_layer.objects.active = face(); face().select_set(True)")
    hover(window)
    window.keys("r", "z", "2", "0", "Return")
    settle(window)
    time.sleep(0.5)
    window.shot("05-turned")
    assert np.abs(picture(window).astype(int) - before).mean() > 3
    hover(window)
    window.keys("ctrl+z")
    settle(window)
    np.testing.assert_array_equal(picture(window), before)


def test_an_expression_by_chance_is_mirrored_and_undone(window):
    window.press("Randomise", PANEL)
    settle(window)
    chosen = values(window)
    assert any(chosen.values())
    window.press("Mirror", PANEL)
    settle(window)
    mirrored = values(window)
    ranges = window.ask("result = {b.name: [b.slider_min, b.slider_max] for b in face().data.shape_keys.key_blocks}")
    for left, right in (("eyeBlinkLeft", "eyeBlinkRight"), ("eyeBlinkRight", "eyeBlinkLeft")):
        assert mirrored[left] == pytest.approx(np.clip(chosen[right], *ranges[left]), abs=1e-4)
    window.shot("05a-randomised")
    window.press("Reset Pose", PANEL)
    window.press("Neutral", PANEL)
    settle(window)
    assert set(values(window).values()) == {0.0}


def test_the_picture_is_shown_in_three_places(window):
    with opened(window, "In the Shot"):
        for label, display in (("Projected", "PROJECTED"), ("Background", "BACKGROUND"), ("P.ate", "PLATE")):
            window.press(label, PANEL)
            settle(window)
            hover(window)
            time.sleep(0.5)
            assert window.ask("result = face().effigy.display") == display
            assert shows_face(window), f"{label} shows no face"
            window.shot(f"05b-{display.lower()}")


def test_sharpen_changes_what_is_shown_and_not_the_picture(window):
    stored = picture(window)
    with opened(window, "In the Shot"), drawn_by_eevee(window):
        window.find("choose Material", PANEL)  # new faces are sharpened
        window.ask("view3d()[1].spaces.active.shading.type = 'MATERIAL'")
        window.press("^.{0,3}Sharpen$", PANEL)
        hover(window)
        until(lambda: shows_face(window), lambda: "Material Preview shows no face")
        painted = finished_viewport(window)
        window.press("^.{0,3}Sharpen$", PANEL)
        hover(window)
        # In 3.5 of 1000 pixels of the view, with a picture of 256² that is enlarged 2.1 times.
        until(lambda: apart(viewport(window), painted) > 0.002, lambda: "it looks as before")
        window.shot("05b-sharpened")
        np.testing.assert_array_equal(picture(window), stored)
        window.press("^.{0,3}Sharpen$", PANEL)
        hover(window)
        until(lambda: apart(viewport(window), painted) < 0.0005, lambda: "it does not look as painted again")


def apart(one, other):
    """Returns the share of pixels that differ visibly."""
    return (np.abs(one - other).max(axis=2) > 8).mean()


def test_the_picture_behind_the_camera_lies_where_the_plate_was(window):
    # An artist's own camera, from the side, and a head that is rolled.
    window.ask(
        "from mathutils import Matrix, Vector\n"
        "scene, proxy = bpy.context.scene, face()\n"
        "own = bpy.data.objects.new('Mine', bpy.data.cameras.new('Mine'))\n"
        "scene.collection.objects.link(own)\n"
        "size = proxy.matrix_world.median_scale\n"
        "own.matrix_world = scene.camera.matrix_world @ Matrix.Translation(size * Vector((0.4, 0.2, 1.0)))\n"
        "own.data.lens, own.data.shift_x, scene.camera = 60, 0.05, own\n"
        "sight = own.matrix_world.to_3x3() @ Vector((0, 0, 1))\n"
        "place = Matrix.Translation(proxy.location)\n"
        "proxy.matrix_world = place @ Matrix.Rotation(0.4, 4, sight) @ place.inverted() @ proxy.matrix_world"
    )
    settle(window)
    shots = []
    with opened(window, "In the Shot"):
        for label in ("P.ate", "Background"):
            window.press(label, PANEL)
            settle(window)
            hover(window)
            time.sleep(1.0)
            shots.append(viewport(window))
            window.shot(f"05c-{label.replace('.', 'l').lower()}")
        window.press("P.ate", PANEL)
    apart = np.abs(shots[0] - shots[1]).max(axis=2)
    assert (apart > 60).mean() < 0.01, "the background lies elsewhere"
    window.ask(
        "rig, own = face().effigy.camera, bpy.data.objects['Mine']\n"
        "bpy.context.scene.camera = rig\n"
        "bpy.data.objects.remove(own)"
    )
    window.press("Reset Pose", PANEL)
    settle(window)


def test_another_person_takes_the_place_and_leaves_it(window):
    before, seed = picture(window), window.ask("result = face().effigy.seed")
    with opened(window, "Identity"):
        window.press("andom$", PANEL)
        until(lambda: window.ask("result = face().effigy.seed") != seed, window.console)
        settle(window)
        assert np.abs(picture(window).astype(int) - before).mean() > 3
        window.shot("05c-somebody-else")
        window.ask(f"face().effigy.wanted_seed = {seed}")
        window.press("^.{0,3}Change$", PANEL)
        until(lambda: window.ask("result = face().effigy.seed") == seed, window.console)
        settle(window)
        np.testing.assert_array_equal(picture(window), before)


def test_a_point_of_the_face_is_dragged_by_the_mouse(window):
    window.press("Grab Points", PANEL)
    hover(window)
    time.sleep(0.5)
    window.shot("06-grab-tool")
    before, start = values(window), landmark(window, 57)  # iBUG 57: the lower lip's lower edge
    window.hold(start)
    window.lead(start, (start[0], start[1] + 25))
    status = slice(0, 700)  # the columns in which the status bar says what keys do
    window.find("Shift: expression", status)
    window.let_go()
    settle(window)
    window.shot("07-grabbed")
    assert not any("Shift: expression" in line for line, _, _ in window.words(status)), "the drag is over"
    after = values(window)
    assert after["jawOpen"] > before["jawOpen"] + 0.1, after
    end = landmark(window, 57)
    assert np.hypot(end[0] - start[0], end[1] - start[1] - 25) < 9, "the point did not follow the hand"
    hover(window)
    window.keys("ctrl+z")
    settle(window)
    assert values(window) == pytest.approx(before, abs=1e-4)
    put_tool_away(window)


def test_an_expression_is_kept_in_the_library_and_given_back(window):
    x, y = window.find_still("awOpen", PANEL)
    window.drag((x, y), (x + 120, y))
    settle(window)
    stored, shown = values(window), picture(window)
    assert stored["jawOpen"] > 0.2
    with opened(window, "Library"):
        for _ in range(2):
            window.press("Store Expression", PANEL)
            time.sleep(0.5)
            window.shot("07d-store")
            window.keys("Return")
            window.press("Neutral", PANEL)
            settle(window)
        x, y = window.find("Apply Expression 2", PANEL)
        window.click(x, y - 50)  # the large picture above that button opens the library
        time.sleep(0.5)
        window.shot("07e-library")
        window.press("Expression 1")
        window.press("Apply Expression 1", PANEL)
        settle(window)
        window.shot("07f-applied")
        assert values(window) == pytest.approx(stored, abs=1e-5)
        np.testing.assert_array_equal(picture(window), shown)
    window.press("Neutral", PANEL)
    settle(window)
