# SPDX-License-Identifier: Apache-2.0
"""Several people: added by keyboard alone, mixed, locked, saved and loaded; and a drag's own keys."""

from __future__ import annotations

import time

import numpy as np
import pytest

from .steps import PANEL, choose_file, hover, landmark, picture, put_tool_away, settle, toggle, until, values

ACTIVE = "proxy = addon('blender.scene.queries').active_face(bpy.context)\n"
COUNT = "result = len(addon('blender.scene.queries').faces(bpy.context.scene))"


def test_escape_and_the_other_keys_of_a_drag(window):
    before, start = values(window), landmark(window, 48)  # iBUG 48: a corner of the mouth
    window.press("Grab Points", PANEL)
    held = []
    for keys in (("x",), ("x", "Escape")):
        there = start[0] - 18, start[1] - 18
        window.hold(start)
        window.lead(start, there)
        window.keys(keys[0])  # both sides alike
        window.lead(there, (start[0] - 20, start[1] - 20), steps=2)
        time.sleep(0.5)
        held.append(values(window))
        window.keys(*keys[1:])
        window.let_go()
        if "Escape" in keys:
            assert values(window) == pytest.approx(before, abs=1e-4), "Esc left a trace"
        else:
            assert held[-1] != pytest.approx(before, abs=1e-3)
            hover(window)
            window.keys("ctrl+z")
            settle(window)
    # Shift keeps the head still.
    stands = "result = [list(row) for row in face().matrix_world]"
    was = window.ask(stands)
    with window.pressed("shift"):
        window.drag(start, (start[0] - 20, start[1] - 20))
    settle(window)
    assert np.abs(np.array(window.ask(stands)) - was).max() < 1e-6
    assert values(window) != pytest.approx(before, abs=1e-3)
    hover(window)
    window.keys("ctrl+z")
    settle(window)
    assert values(window) == pytest.approx(before, abs=1e-4)
    put_tool_away(window)


def test_another_face_is_added_by_the_keyboard_alone(window):
    window.ask("bpy.context.scene.cursor.location = (0.4, 0, 0)")
    hover(window)
    window.keys("shift+a")
    time.sleep(0.5)
    for letter in "effigy":
        window.keys(letter)
    time.sleep(0.5)
    window.shot("07g-add-by-keyboard")
    window.keys("Return")
    until(lambda: window.ask(COUNT) == 2, window.console)
    window.find("stands outside the view", slice(0, 700))
    window.shot("07g-added")
    window.keys("Escape")
    assert window.ask(ACTIVE + "result = proxy.effigy.seed") > 0, "the same person again"


def test_people_are_mixed_and_a_lock_holds(window):
    own = window.ask(ACTIVE + "result = proxy.effigy.latent")
    toggle(window, "Identity")
    window.press("Mix with", PANEL)
    time.sleep(0.5)
    window.shot("07h-mix")
    window.keys("Return")
    until(lambda: window.ask(ACTIVE + "result = proxy.effigy.latent") != own, window.console)
    _, y = window.find_still("A mixture", PANEL)
    mixed = window.ask(ACTIVE + "result = proxy.effigy.latent")
    window.click(1184, y)  # the padlock at the row's end
    assert window.ask(ACTIVE + "result = proxy.effigy.locked")
    window.press("andom$", PANEL)
    time.sleep(2.0)
    assert window.ask(ACTIVE + "result = proxy.effigy.latent") == mixed, "a locked identity was changed"
    _, y = window.find_still("A mixture", PANEL)
    window.click(1184, y)
    assert not window.ask(ACTIVE + "result = proxy.effigy.locked")


def test_a_person_is_saved_and_loaded(window):
    mixed = window.ask(ACTIVE + "result = proxy.effigy.latent")
    path = window.work / "person.effigy-identity"
    for label in ("Save", "Load"):
        window.press(f"^.{{0,3}}{label}", PANEL)
        choose_file(window, path)
        if label == "Save":
            until(path.is_file, window.console)
            window.press("andom$", PANEL)
            until(lambda: window.ask(ACTIVE + "result = proxy.effigy.latent") != mixed, window.console)
    until(lambda: window.ask(ACTIVE + "result = proxy.effigy.latent") == mixed, window.console)
    toggle(window, "Identity")


def test_a_face_turns_to_the_camera_and_is_removed(window):
    window.press("Face the Camera", PANEL)
    time.sleep(0.5)
    angles = "angles = addon('blender.scene.controls').angles_now(proxy, bpy.context.scene.camera)\n"
    yaw, pitch = window.ask(ACTIVE + angles + "result = [angles.yaw, angles.pitch]")
    assert abs(yaw) < 0.1
    assert abs(pitch) < 0.1
    window.press("Remove Face", PANEL)
    until(lambda: window.ask(COUNT) == 1, window.console)
    window.ask("bpy.context.scene.cursor.location = (0, 0, 0)\nbpy.context.view_layer.objects.active = face()")
    window.ask("face().select_set(True)")
    settle(window)
    assert picture(window).std() > 10
