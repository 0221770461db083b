# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for the face that is selected: add one, take it away, and whether its picture is right."""

from __future__ import annotations

import bpy

from ..pictures import pasted, stale
from ..pictures.activity import activity
from ..pictures.runs import earlier_model, run_of
from ..pictures.session import session
from ..scene.properties import face_of
from ..scene.queries import active_face, known_faces, scene_of
from ..scene.viewing import viewpoint
from ..translation import differing, iface_
from .panels import SidePanel
from .rows import Status, draw_status, write


class EFFIGY_PT_face(SidePanel):
    bl_label = "Face"

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        if context.scene is not None and (proxy := active_face(context)) is not None:
            self.layout.label(text=proxy.name, translate=False)

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, active_face(context)
        row = layout.row(align=True)
        row.operator("effigy.add_face", icon="ADD")
        row.operator("effigy.remove_face", icon="TRASH")
        if proxy is None:
            write(layout, _what_to_do(scene_of(context)))
            return
        draw_status(layout, status(proxy))


def _what_to_do(scene: bpy.types.Scene) -> str:
    """Returns how to come to a face, where none is selected."""
    if known_faces(scene):
        return iface_("Select a face to see its expressions.")
    if session.is_ready:
        return iface_("There is no face yet: add one.")
    return iface_("There is no face yet: start the backend, and add one.")


def status(proxy: bpy.types.Object) -> Status:
    """Returns whether the picture is right, and how fast it follows; or by which earlier model it is painted."""
    face, run = face_of(proxy), run_of(proxy).follower
    speed = iface_("{:.0f} ms behind the hand", run.milliseconds) if run.milliseconds else ""
    if run.rate and speed:
        speed += f" · {run.rate:.0f} fps"
    if earlier := earlier_model(proxy):
        speed = iface_("By {}: Identity has the new one.", earlier)
    if activity.is_painting_range:  # the frames go by, and no picture follows
        return Status("SORTTIME", iface_("Waits while frames are painted"), iface_("Esc stops."))
    if run.problem:
        return Status("ERROR", iface_("No picture"), run.problem)
    if face.source == "BAKED":
        if parts := stale.parts(proxy):
            return Status("ERROR", iface_("Stale: bake again"), iface_("Now {}", differing(parts)))
        return Status("FILE_IMAGE", iface_("Baked pictures, frames {} to {}", face.baked_start, face.baked_end))
    if not session.is_ready:
        return Status("ERROR", iface_("Not connected"), iface_("The picture does not follow."))
    if any(run.limits):  # what is shown is less than what was asked: nothing to be called exact
        limits = iface_("Not reached: {}", ", ".join(run.limits.missed))
        if run.limits.clamped:
            limits = iface_("Beyond the model's range: {}", ", ".join(run.limits.clamped))
        word = iface_("Limited preview")
        if run.is_right:
            by_view, by_camera = iface_("Limited, as the viewport sees it"), iface_("Limited, as a render shows it")
            word = by_view if viewpoint.counts else by_camera
        return Status("INFO", word, limits)
    if run.is_right and pasted.is_another(proxy, run.shown, scene_of(bpy.context).frame_current):
        return Status("INFO", iface_("Source Photo shows another moment"), iface_("Paste it again to see this one."))
    if run.is_right:
        word = iface_("Exact, as the viewport sees it") if viewpoint.counts else iface_("Exact: what a render shows")
        return Status("CHECKMARK", word, speed)
    return Status("SORTTIME", iface_("Preview: exact when you stop"), speed)
