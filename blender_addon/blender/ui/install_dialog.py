# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Backend: the dialog that asks what to install and where, shows how large it is, and starts it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from effigy_client.install import Installation, InstallError, Plan, carry_over, make_plan, read_wheel

from ..translation import iface_, n_, rpt_
from . import install
from .operator import is_stopped
from .rows import write

_WIDTH = 460  # pixels of the dialog
_LINE = 72  # characters that fit it
_NOT_ONLINE = n_(
    "Blender may not go online: allow it in Preferences ▸ System ▸ Network, or choose a folder of wheels that was "
    "filled on another machine"
)


class EFFIGY_OT_install_backend(bpy.types.Operator):
    bl_idname = "effigy.install_backend"
    bl_label = "Install Backend"
    bl_description = (
        "Install the process that paints, into a folder of its own: an environment with Blender's Python, PyTorch for "
        "this machine, and the backend. It asks first, and can be cancelled and resumed"
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
    repair: BoolProperty(name="Repair", description="Make the environment again from scratch", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_stopped(cls)

    def plan(self) -> Plan:
        """Returns the plan for the dialog's settings. Raises InstallError."""
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
            _only_cancel(layout)
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
            _only_cancel(layout)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            plan = self.plan()
        except InstallError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if plan.needs_network and not bpy.app.online_access:
            self.report({"ERROR"}, rpt_(_NOT_ONLINE))
            return {"CANCELLED"}
        return install.run(
            self, Installation(plan, repair=self.repair), rpt_("The backend is installed in {}", plan.folder.path)
        )


def _only_cancel(layout: Any) -> None:
    """Leaves the dialog without its button to install, until it can be done."""
    layout.template_popup_confirm("", text="", cancel_text="Cancel")


def _plan(folder: str, flavour: str, file: str, offline: str) -> Plan:
    """Returns the plan for what the dialog says. Raises InstallError."""
    return make_plan(
        install.folder_at(folder),
        read_wheel(install.ADDON / "backend.json"),
        flavour=None if flavour == "auto" else flavour,  # type: ignore[arg-type]
        file=Path(bpy.path.abspath(file)) if file else None,
        offline=Path(bpy.path.abspath(offline)) if offline else None,
    )


@lru_cache(maxsize=1)
def _planned(folder: str, flavour: str, file: str, offline: str) -> Plan | InstallError:
    """Returns what ``_plan`` does, or its error, for the dialog.

    It is cached: planning starts a program and reads files, and the dialog is drawn at every movement of the mouse.
    """
    try:
        return _plan(folder, flavour, file, offline)
    except InstallError as error:
        return error


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


_CLASSES = (EFFIGY_OT_install_backend, EFFIGY_OT_carry_over)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
