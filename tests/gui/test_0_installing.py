# SPDX-License-Identifier: Apache-2.0
"""From the add-on's zip to a first face without a terminal: Install Backend, Start Backend, Add Face, by mouse.

The index is on loopback. Its torch is a small wheel without code, and its backend hands over to the real one.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pytest

from effigy_protocol.version import VERSION

from ..client.package_index import serve
from ..client.wheels import write_wheel
from .steps import CATEGORY, PANEL, PREPARE, hover, until

_APP = """import os, sys
def app():
    os.execv("/usr/local/bin/effigy", ["effigy", *sys.argv[1:]])
"""
WIDE = slice(0, 1215)  # all columns that a window over Blender's may take
_STATE = """
now = addon('blender.ui.install').running
result = None if now is None else [now.progress.outcome, now.progress.error]
"""


@pytest.fixture(scope="module")
def index(window, tmp_path_factory):
    """A release's index, and Blender as a new user has it: no backend, and online access not yet allowed."""
    root = tmp_path_factory.mktemp("index")
    write_wheel(root, "torch", "2.7.0", "#" * 1_500_000)  # a slow index is at it for a quarter of an hour: see below
    needs = "Requires-Dist: torch>=2.6\n"
    wheel = write_wheel(root, "effigy_faces", VERSION, _APP, needs=needs, script="effigy = effigy_faces:app")
    data = wheel.read_bytes()
    with serve(root) as served:
        told = {
            "format": 1, "name": wheel.name, "version": VERSION, "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data), "address": f"{served.address}/files",
        }  # fmt: skip
        file = Path(window.ask("result = addon('blender.ui.install').__file__")).parents[2] / "backend.json"
        file.write_text(json.dumps(told))
        window.ask(
            "import functools, os\n"
            "module = addon('blender.ui.install_dialog')\n"
            "Addresses = module.make_plan.__globals__['Addresses']\n"
            f"places = Addresses(*('{served.address}/' + place for place in ('simple', 'cuda', 'cpu')))\n"
            "module.make_plan = functools.partial(module.make_plan, addresses=places)\n"
            "os.environ['PATH'] = '/usr/sbin:/usr/bin:/bin'\n"
            "bpy.context.preferences.system.use_online_access = False"
        )
        yield served
        file.unlink()
        window.ask(
            "import os\n"
            "module = addon('blender.ui.install_dialog')\n"
            "module.make_plan = module.make_plan.func\n"
            "addon('blender.ui.install').running = None\n"
            "os.environ['PATH'] = '/usr/local/bin:/usr/bin:/bin:/usr/sbin'\n"
            "bpy.context.preferences.system.use_online_access = False\n"
            "bpy.ops.wm.read_homefile(app_template='')"
        )
    time.sleep(1.0)


def dialog(window, below=185):
    """Opens the dialog; returns the part of the screen that it takes, to so many pixels below the backend's file."""
    window.press("Install Backend", PANEL)
    x, y = map(round, window.find("Backend.s File", slice(640, 1110)))
    return np.s_[y - 110 : y + below, x - 160 : x + 365]


def test_without_online_access_it_says_what_to_allow_or_carry_over(window, index):
    window.ask(PREPARE)
    time.sleep(1.5)
    window.ask(CATEGORY)
    window.find("Install Backend", PANEL)
    hover(window)
    part = dialog(window, below=265)
    window.find("may not go online", slice(640, 1110))
    window.shot("00-install-offline", part)
    window.keys("Escape")
    assert window.ask(_STATE) is None
    assert not index.asked


def test_an_installation_is_cancelled_and_goes_on(window, index):
    window.ask("bpy.context.preferences.system.use_online_access = True")
    index.slow = 6.0
    part = dialog(window)
    window.find("are downloaded", slice(640, 1110))
    window.shot("00-install-backend", part)
    window.keys("Return")
    window.find("Installing", PANEL)
    window.shot("00-installing", np.s_[60:420, 940:1240])
    window.press("Cancel", PANEL)
    until(lambda: window.ask(_STATE)[0] != "running", window.console)
    assert window.ask(_STATE) == ["cancelled", ""]
    index.slow = 0.0
    window.find("Install Backend", PANEL)


def test_four_steps_lead_to_a_face(window, index):
    """The zip is there (1). Install Backend (2), Start Backend (3), Add Face (4)."""
    dialog(window)
    window.keys("Return")
    until(lambda: window.ask(_STATE)[0] != "running", window.console)
    assert window.ask(_STATE) == ["done", ""]
    command = "import os\nresult = os.path.isfile(addon('blender.preferences').get().command)"
    until(lambda: window.ask(command), window.console)  # the panel takes the end in at its next look
    window.press("^.{0,3}Start Backend", PANEL)
    window.find("Ready", PANEL)
    window.press("^.{0,3}Add Face", PANEL)
    until(lambda: window.ask("result = any(o.effigy.is_face for o in bpy.context.scene.objects)"), window.console)
    window.find("stands in front of", slice(640, 1110))  # the cube
    window.shot("00-added")
    hover(window)
    window.keys("Escape")  # closes what popped up, as a hand does that moves away: that takes the next click


@pytest.fixture()
def slow_removal(window):
    """Lets the removal of a folder wait until a file is there: this small environment is gone at once."""
    go = window.work / "go"
    window.ask(
        "import pathlib, shutil, time\n"
        "remove = bpy.app.driver_namespace['rmtree'] = shutil.rmtree\n"
        "def slowly(*arguments, **settings):\n"
        f"    while not pathlib.Path({str(go)!r}).exists():\n"
        "        time.sleep(0.05)\n"
        "    remove(*arguments, **settings)\n"
        "shutil.rmtree = slowly"
    )
    yield go
    go.touch()
    window.ask("import shutil\nshutil.rmtree = bpy.app.driver_namespace.pop('rmtree')")
    go.unlink()


def test_it_is_removed_by_a_click_while_the_window_lives(window, index, slow_removal):
    window.press("^.{0,3}Stop$", PANEL)
    window.find("Not running", PANEL)
    command = window.ask("result = addon('blender.preferences').get().command")
    window.ask("bpy.ops.preferences.addon_show(module='bl_ext.user_default.effigy')")
    window.press("Remove Backend")
    window.keys("Return")
    window.find("being removed", WIDE)  # below the button that was pressed
    window.ask("bpy.context.preferences.view.show_tooltips = True")
    says_wait(window, "^.{0,3}Install Backend", WIDE, "00-removing-preferences")
    window.ask(
        "for opened in bpy.context.window_manager.windows[1:]:\n"
        "    with bpy.context.temp_override(window=opened):\n"
        "        bpy.ops.wm.window_close()"
    )
    hover(window)
    window.find("being removed", PANEL)
    says_wait(window, "^.{0,3}Start Backend", PANEL, "00-removing")
    window.press("^.{0,3}Start Backend", PANEL)
    assert window.ask("result = addon('blender.pictures.session').session.link is None")
    hover(window)
    window.keys("a")
    until(lambda: window.ask("result = bool(bpy.context.selected_objects)"), lambda: "the window does not live")
    assert window.ask(f"import os\nresult = os.path.exists({command!r})")
    slow_removal.touch()
    until(lambda: window.ask("result = addon('blender.preferences').get().command") == "effigy", window.console)
    assert not window.ask(f"import os\nresult = os.path.exists({command!r})")
    window.find("Install Backend", PANEL)
    window.shot("00-removed")
    window.ask("bpy.context.preferences.view.show_tooltips = False")


def says_wait(window, button, columns, shot):
    """Nothing can start or install what is half removed, and the grey button says why."""
    x, y = window.find_still(button, columns)
    window.move(x, y)
    window.move(x + 2, y + 1)  # a tooltip waits for a hand that hardly moves
    window.find("Wait until the backend", WIDE)
    window.shot(shot)
