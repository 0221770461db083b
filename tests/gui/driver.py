# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside windowed Blender: executes the code that tests write to EFFIGY_GUI_BOX, in order, and answers.

Clicks come from outside, through the X server. This only prepares the window, and reports what cannot be read
from the screen.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import traceback
from pathlib import Path

import bpy

BOX = Path(os.environ["EFFIGY_GUI_BOX"])
found = []  # what the last tick has seen


def view3d():
    """Returns window, area and region of the 3D viewport."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return window, area, next(region for region in area.regions if region.type == "WINDOW")


def addon(name):
    """Returns a module of the installed add-on."""
    return importlib.import_module(f"bl_ext.user_default.effigy.{name}")


def face():
    return next(o for o in bpy.context.scene.objects if o.effigy.is_face)


def screen(region, place):
    """Converts region coordinates to those of the X server, from the window's upper left corner."""
    window = bpy.context.window_manager.windows[0]
    return [region.x + place[0], window.height - region.y - place[1]]


def handled():
    """Takes away what the tests have put there, at the second tick that finds it: events come between two ticks."""
    if BOX / "unseen" in found:
        found.pop().unlink()
    elif (BOX / "unseen").exists():
        found.append(BOX / "unseen")


def answer():
    handled()
    question = BOX / "question.py"
    if question.exists():
        names = {"bpy": bpy, "view3d": view3d, "screen": screen, "addon": addon, "face": face, "result": None}
        try:
            exec(compile(question.read_text(), "question", "exec"), names)
            said = {"result": names["result"]}
        except Exception:  # noqa: BLE001 the test is told, whatever it is
            said = {"error": traceback.format_exc()}
        question.unlink()
        (BOX / "answer.part").write_text(json.dumps(said))
        (BOX / "answer.part").replace(BOX / "answer.json")
    return 0.05


faulthandler.enable()  # where Blender ends without a word, its log says at least which operator ran
bpy.context.preferences.view.show_splash = False  # before it shows
bpy.app.timers.register(answer, first_interval=1.0, persistent=True)
