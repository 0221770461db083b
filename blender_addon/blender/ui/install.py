# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Backend: asks, shows how large it is, runs client/install on a thread, and sets the preferences' command.
Remove Backend takes both back.
"""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from effigy_client.install import Folder, Installation, InstallError, Plan, Removal, carry_over, make_plan, read_wheel

from .. import preferences
from ..pictures.session import session
from ..translation import iface_, rpt_
from .rows import write

_ADDON = Path(__file__).parents[2]  # where a release has put backend.json
_LOOK_S = 0.25  # between two looks at a running installation
_WIDTH = 460  # pixels of the dialog
_LINE = 72  # characters that fit it

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
    if is_running() and running is not None:
        now = running.progress
        if isinstance(running, Removal):
            layout.label(text="The installed backend is being removed", icon="TRASH")
            return
        layout.progress(factor=now.share, text=iface_("Installing: {}", iface_(now.step)))
        write(layout, now.line[-72:])
        layout.operator(EFFIGY_OT_cancel_install.bl_idname, icon="CANCEL")
        return
    if session.link is not None:
        return
    if running is not None and running.progress.outcome == "failed":
        write(layout, running.progress.error, "ERROR")
    elif _is_found():
        _draw_update(layout)
        return
    layout.operator(EFFIGY_OT_install_backend.bl_idname, icon="IMPORT")


def _is_found() -> bool:
    """Whether there is a backend to start, as far as can be known without starting it."""
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
        layout.operator(EFFIGY_OT_install_backend.bl_idname, text="Update Backend", icon="IMPORT").folder = folder


@lru_cache(maxsize=1)  # the panel is drawn at every movement of the mouse
def _of_another_release(command: str) -> tuple[str, str] | None:
    """The folder of an installation that is not of this add-on's release, and what to say of it."""
    belongs, parents = read_wheel(_ADDON / "backend.json"), Path(command).parents
    if belongs is None or len(parents) < 3:
        return None
    folder = Folder(parents[2])  # of env/bin/effigy
    there = folder.installed()
    if there.wheel in ("", belongs.sha256):
        return None
    return str(folder.path), iface_(
        "The installed backend ({}) is not the one of this add-on ({})", there.version, belongs.version
    )


class EFFIGY_OT_install_backend(bpy.types.Operator):
    bl_idname = "effigy.install_backend"
    bl_label = "Install Backend"
    bl_description = (
        "Install the process that paints, into a folder of its own: an environment of Blender's Python, PyTorch for "
        "this machine, and the backend. It asks first, and can be cancelled and gone on with"
    )

    folder: StringProperty(
        name="Folder",
        description="Where it is installed. Empty: the add-on's own folder among Blender's user files",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    flavour: EnumProperty(
        name="PyTorch",
        description="What the pictures are computed with",
        items=(
            ("auto", "What suits this machine", "For the NVIDIA card where there is one, else for the processor"),
            ("cuda", "NVIDIA (CUDA)", "For NVIDIA cards: about 3 GB are downloaded"),
            ("cpu", "Processor", "For any machine with Linux or Windows"),
            ("mac", "Mac", "For Macs"),
        ),
    )
    file: StringProperty(
        name="Backend's File",
        description="The .whl of the same release, where it lies on this machine. Empty: it is downloaded",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    offline: StringProperty(
        name="Folder of Wheels",
        description="Install without a network, from a folder that was filled on another machine",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    repair: BoolProperty(
        name="Repair", description="Make the environment anew, whatever is there", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if is_running():
            cls.poll_message_set("Wait until the backend is installed, or removed")
            return False
        if session.link is not None:
            cls.poll_message_set("Stop the backend first")
            return False
        return True

    def plan(self) -> Plan:
        """Raises InstallError."""
        return _plan(self.folder, self.flavour, self.file, self.offline)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        _planned.cache_clear()  # what is on this machine may have changed since the last dialog
        return context.window_manager.invoke_props_dialog(self, width=_WIDTH, confirm_text="Install")  # type: ignore[return-value]

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        for name in ("folder", "flavour", "file", "offline"):
            layout.prop(self, name)
        plan = _planned(self.folder, self.flavour, self.file, self.offline)
        if isinstance(plan, InstallError):
            write(layout, str(plan), "ERROR", width=_LINE)
            return
        there = plan.folder.installed()
        if there.complete:
            write(layout, iface_("Version {} is installed there.", there.version), "CHECKMARK", width=_LINE)
            layout.prop(self, "repair")
        size = iface_("About {:.1f} GB are downloaded, {:.1f} GB on disk.", plan.download_gb, plan.disk_gb)
        write(layout, f"{iface_('Effigy')} {plan.wheel.version}, PyTorch ({plan.flavour}). {size}", "INFO", width=_LINE)
        if plan.needs_network and not bpy.app.online_access:
            write(layout, iface_(_NOT_ONLINE), "ERROR", width=_LINE)
            layout.operator(EFFIGY_OT_carry_over.bl_idname).text = carry_over(plan)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            plan = self.plan()
        except InstallError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if plan.needs_network and not bpy.app.online_access:
            self.report({"ERROR"}, rpt_(_NOT_ONLINE))
            return {"CANCELLED"}
        return _carry_out(
            self, Installation(plan, repair=self.repair), rpt_("The backend is installed in {}", plan.folder.path)
        )


def _plan(folder: str, flavour: str, file: str, offline: str) -> Plan:
    """The plan of what the dialog says. Raises InstallError."""
    return make_plan(
        folder_at(folder),
        read_wheel(_ADDON / "backend.json"),
        flavour=None if flavour == "auto" else flavour,  # type: ignore[arg-type]
        file=Path(bpy.path.abspath(file)) if file else None,
        offline=Path(bpy.path.abspath(offline)) if offline else None,
    )


@lru_cache(maxsize=1)
def _planned(folder: str, flavour: str, file: str, offline: str) -> Plan | InstallError:
    """The same for the dialog, drawn at every movement of the mouse: planning starts a program, and reads files."""
    try:
        return _plan(folder, flavour, file, offline)
    except InstallError as error:
        return error


_NOT_ONLINE = (
    "Blender may not go online: allow it in Preferences ▸ System ▸ Network, or choose a folder of wheels that was "
    "filled on another machine"
)


class EFFIGY_OT_cancel_install(bpy.types.Operator):
    bl_idname = "effigy.cancel_install"
    bl_label = "Cancel"
    bl_description = "Stop installing; what is finished is kept, and the next time goes on from there"

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
        if is_running() or session.link is not None:
            cls.poll_message_set("Stop the backend, or the installation, first")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)  # type: ignore[return-value]

    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = folder_at(self.folder)
        if not folder.is_ours:
            self.report({"ERROR"}, rpt_("Nothing is installed in {}", folder.path))
            return {"CANCELLED"}
        return _carry_out(self, Removal(folder), rpt_("Removed what was in {}", folder.path))


class EFFIGY_OT_carry_over(bpy.types.Operator):
    bl_idname = "effigy.carry_over"
    bl_label = "Copy What to Carry Over"
    bl_description = "Copy to the clipboard how to fill a folder of wheels on a machine with a network"
    bl_options = {"INTERNAL"}

    text: StringProperty(options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = self.text
        self.report({"INFO"}, rpt_("Copied: paste it into a mail or a text file"))
        return {"FINISHED"}


def _carry_out(operator: bpy.types.Operator, work: Installation | Removal, said: str) -> set[str]:
    """Starts ``work``, which goes on beside the window; a script waits for it, and reports ``said`` at its end."""
    global running
    running = work
    work.start()
    if not bpy.app.background:
        bpy.app.timers.register(_look, first_interval=_LOOK_S, persistent=True)  # whatever file is opened meanwhile
        return {"FINISHED"}
    done = work.wait()
    _finish(work)
    if done.outcome != "done":
        operator.report({"ERROR"}, done.error or rpt_("The installation was cancelled"))
        return {"CANCELLED"}
    operator.report({"INFO"}, said)
    return {"FINISHED"}


def _look() -> float | None:
    """Shows how far it is; a timer of Blender's."""
    if running is None:
        return None
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "PREFERENCES"):
                area.tag_redraw()
    if running.progress.outcome == "running":
        return _LOOK_S
    _finish(running)
    return None


def _finish(work: Installation | Removal) -> None:
    """Sets the command of what was installed, or is no more, and has Blender keep it."""
    if work.progress.outcome != "done":
        return
    _of_another_release.cache_clear()
    chosen = preferences.get()
    if isinstance(work, Installation):
        chosen.source, chosen.command = "LOCAL", str(work.plan.folder.command)
    elif chosen.command == str(work.folder.command):
        chosen.property_unset("command")
    bpy.context.preferences.is_dirty = True


_CLASSES = (EFFIGY_OT_install_backend, EFFIGY_OT_cancel_install, EFFIGY_OT_remove_backend, EFFIGY_OT_carry_over)


def register() -> None:
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    if is_running() and running is not None:
        if isinstance(running, Installation):
            running.cancel()
        running.wait(10.0)
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
