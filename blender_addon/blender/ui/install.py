# SPDX-License-Identifier: GPL-3.0-or-later
"""The installation of the backend that runs, or ran last: its rows, its end, and its removal.

``install_dialog`` starts it.
"""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from effigy_client.install import Folder, Installation, Removal, read_wheel

from .. import preferences
from ..pictures import redraw
from ..pictures.session import session
from ..translation import iface_, n_, rpt_
from .operator import is_stopped
from .rows import Status, draw_text, write

ADDON = Path(__file__).parents[2]  # where a release has put backend.json
_LOOK_S = 0.25  # between two looks at a running installation
_WAIT = n_("Wait until the backend is installed, or removed")
_INSTALL = "effigy.install_backend"  # the operator of install_dialog, which imports this module

running: Installation | Removal | None = None  # the one that runs, or the last one


def folder_at(chosen: str) -> Folder:
    """Returns the installation's folder: ``chosen``, or the extension's own where that is empty."""
    if chosen:
        return Folder(Path(bpy.path.abspath(chosen)))
    return Folder(Path(bpy.utils.extension_path_user(preferences.PACKAGE, path="installed")))


def is_running() -> bool:
    return running is not None and running.progress.outcome == "running"


def draw_rows(layout: Any) -> None:
    """Draws the rows in the backend's panel; none once there is a command that works."""
    has_failed = draw_work(layout)
    if is_running() or session.link is not None:
        return
    if is_found() and not has_failed:
        _draw_update(layout)
    else:
        layout.operator(_INSTALL, icon="IMPORT")


def draw_work(layout: Any) -> bool:
    """Draws how far the installation or removal is, or why it failed; returns whether it did."""
    if running is None or session.link is not None:
        return False
    now = running.progress
    if now.outcome == "failed":
        write(layout, now.error, "ERROR")
    elif now.outcome == "running" and isinstance(running, Removal):
        layout.label(text="The backend is being removed", icon="TRASH")
    elif now.outcome == "running":
        layout.progress(factor=now.share, text=iface_("Installing: {}", iface_(now.step)))
        layout.operator(EFFIGY_OT_cancel_install.bl_idname, icon="CANCEL")  # above what comes and goes: it stays
        draw_text(layout, Status("INFO", "", now.line))
    return now.outcome == "failed"


def is_found() -> bool:
    """Returns whether there is a backend to start, as far as can be known without starting it."""
    try:
        chosen = preferences.get()
    except preferences.PreferencesError:
        return True  # the panel says what is wrong
    return chosen.source != "LOCAL" or shutil.which(chosen.command) is not None


def _draw_update(layout: Any) -> None:
    """Offers to update an installation that is not of this add-on's release."""
    try:
        chosen = preferences.get()
    except preferences.PreferencesError:
        return
    if chosen.source == "LOCAL" and (other := _of_another_release(chosen.command)):
        folder, said = other
        write(layout, said, "INFO")
        layout.operator(_INSTALL, text="Update Backend", icon="IMPORT").folder = folder


@lru_cache(maxsize=1)  # the panel is drawn at every movement of the mouse
def _of_another_release(command: str) -> tuple[str, str] | None:
    """Returns the folder of an installation that is not of this add-on's release, and what to say of it; or None."""
    belongs, parents = read_wheel(ADDON / "backend.json"), Path(command).parents
    if belongs is None or len(parents) < 3:
        return None
    folder = Folder(parents[2])  # of env/bin/effigy
    there = folder.installed()
    if there.wheel in ("", belongs.sha256):
        return None
    return str(folder.path), iface_(
        "The installed backend ({}) is not the one of this add-on ({})", there.version, belongs.version
    )


class EFFIGY_OT_cancel_install(bpy.types.Operator):
    bl_idname = "effigy.cancel_install"
    bl_label = "Cancel"
    bl_description = "Stop installing; what is finished is kept, and the next installation resumes there"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_running() and isinstance(running, Installation)

    def execute(self, context: bpy.types.Context) -> set[str]:
        if isinstance(running, Installation):
            running.cancel()
        return {"FINISHED"}


class EFFIGY_OT_remove_backend(bpy.types.Operator):
    bl_idname = "effigy.remove_backend"
    bl_label = "Remove Backend"
    bl_description = "Remove what Install Backend has put on this machine; faces, bakes and models stay"

    folder: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_stopped(cls)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)  # type: ignore[return-value]

    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = folder_at(self.folder)
        if not folder.is_ours:
            self.report({"ERROR"}, rpt_("Nothing is installed in {}", folder.path))
            return {"CANCELLED"}
        return run(self, Removal(folder), rpt_("Removed what was in {}", folder.path))


def run(operator: bpy.types.Operator, work: Installation | Removal, report: str) -> set[str]:
    """Starts ``work``, which goes on beside the window; a script waits for it, and gets ``report`` at its end."""
    global running
    running = work
    session.hold(_WAIT)
    work.start()
    if not bpy.app.background:
        bpy.app.timers.register(_look, first_interval=_LOOK_S, persistent=True)  # whatever file is opened meanwhile
        return {"FINISHED"}
    done = work.wait()
    _finish(work)
    if done.outcome != "done":
        operator.report({"ERROR"}, done.error or rpt_("The installation was cancelled"))
        return {"CANCELLED"}
    operator.report({"INFO"}, report)
    return {"FINISHED"}


def _look() -> float | None:
    """Shows how far it is; a timer of Blender's."""
    if running is None:
        return None
    goes_on = is_running()
    if not goes_on:
        _finish(running)
    redraw.side_panels()
    redraw.preferences()
    return _LOOK_S if goes_on else None


def _finish(work: Installation | Removal) -> None:
    """Sets the command of what was installed, or is no more, and has Blender keep it."""
    session.release()
    if work.progress.outcome != "done":
        return
    _of_another_release.cache_clear()
    chosen = preferences.get()
    if isinstance(work, Installation):
        chosen.source, chosen.command = "LOCAL", str(work.plan.folder.command)
    elif chosen.command == str(work.folder.command):
        chosen.property_unset("command")
    bpy.context.preferences.is_dirty = True


_CLASSES = (EFFIGY_OT_cancel_install, EFFIGY_OT_remove_backend)


def register() -> None:
    for each in _CLASSES:
        bpy.utils.register_class(each)
    preferences.on_draw.append(draw_work)


def unregister() -> None:
    if is_running() and running is not None:
        if isinstance(running, Installation):
            running.cancel()
        running.wait(10.0)
    session.release()
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    preferences.on_draw.remove(draw_work)
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
