# SPDX-License-Identifier: GPL-3.0-or-later
"""The side panel, from top to bottom in the order of work: backend, face, pose, animation, render."""

from __future__ import annotations

from typing import Any

import bpy

from effigy_client.state import Phase

from ..pictures import stale
from ..pictures.activity import activity
from ..pictures.runs import FaceRun, earlier_model, run_of, runs
from ..pictures.session import session
from ..scene.controls import blocks_of, camera_of
from ..scene.properties import face_of
from ..scene.queries import active_face, carrier_of, face_in, known_faces, scene_of
from ..scene.viewing import viewpoint
from ..translation import differing, iface_
from . import install, library
from .capture_panel import EFFIGY_PT_capture
from .exact import STANDARD
from .panels import FacePanel, SidePanel
from .rows import Told, draw_told, is_cut, write

# Every state has a sign and a word of its own: none is told by its colour alone.
_ICONS = {
    Phase.CONNECTING: "SORTTIME",
    Phase.LOADING: "SORTTIME",
    Phase.READY: "CHECKMARK",
    Phase.LOST: "ERROR",
    Phase.REFUSED: "ERROR",
}


class EFFIGY_PT_backend(SidePanel):
    bl_label = "Backend"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        column = layout.column(align=True)
        column.operator("effigy.connect", icon="PLAY")
        column.operator("effigy.disconnect", icon="SNAP_FACE")
        draw_told(layout, _backend())
        install.draw_rows(layout)


def _backend() -> Told:
    """How it stands with the connection."""
    state = session.state
    if state is None:
        if session.problem:
            return Told("ERROR", iface_("Not running"), session.problem)
        return Told("UNLINKED", iface_("Not running"), iface_("Some seconds after the start it is ready."))
    text = f"{state.detail} ({state.hint})" if state.hint else state.detail
    if state.phase is Phase.READY and state.welcome is not None:
        height, width = state.welcome.resolution
        text = f"{text} {iface_('{} × {} on {}', width, height, state.welcome.device)}"
    return Told(_ICONS[state.phase], state.phase.value.capitalize(), text)


class EFFIGY_PT_face(SidePanel):
    bl_label = "Face"

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, active_face(context)
        layout.operator("effigy.add_face", icon="ADD")
        if proxy is None:
            none = iface_("There is no face yet: start the backend, and add one.")
            some = iface_("Select a face to see its expressions.")
            write(layout, some if known_faces(scene_of(context)) else none)
            return
        face = face_of(proxy)
        layout.label(text=proxy.name, icon="MESH_MONKEY")
        draw_told(layout, _picture(proxy))
        layout.row(align=True).prop(face, "display", expand=True)
        layout.operator("effigy.remove_face", icon="TRASH")


def _picture(proxy: bpy.types.Object) -> Told:
    """Whether the picture is right, and how fast it follows; or by which earlier model it is painted."""
    face, run = face_of(proxy), run_of(proxy).follower
    speed = iface_("{:.0f} ms from hand to picture", run.milliseconds) if run.milliseconds else ""
    if run.rate and speed:
        speed += f" · {run.rate:.0f} fps"
    if earlier := earlier_model(proxy):
        speed = iface_("By {}: Identity has the new one.", earlier)
    if activity.is_painting_range:  # the frames go by, and no picture follows
        return Told("SORTTIME", iface_("At rest while frames are painted"), iface_("Esc stops."))
    if run.problem:
        return Told("ERROR", iface_("No picture"), run.problem)
    if face.source == "BAKED":
        if parts := stale.parts(proxy):
            text = iface_("Baked with {}. Bake again.", differing(parts))
            return Told("ERROR", iface_("Stale: not what the scene asks for"), text)
        return Told("FILE_IMAGE", iface_("Baked pictures, frames {} to {}", face.baked_start, face.baked_end))
    if not session.is_ready:
        return Told("ERROR", iface_("Not connected"), iface_("The picture does not follow."))
    if run.clamped:  # what is shown is less than what was asked: nothing to be called exact
        limits = iface_("Beyond the model's range: {}", ", ".join(run.clamped))
        word = iface_("Limited preview")
        if run.is_right:
            by_view, by_camera = iface_("Limited, as the viewport sees it"), iface_("Limited, as a render shows it")
            word = by_view if viewpoint.counts else by_camera
        return Told("INFO", word, limits)
    if run.is_right:
        word = iface_("Exact, as the viewport sees it") if viewpoint.counts else iface_("Exact: what a render shows")
        return Told("CHECKMARK", word, speed)
    return Told("SORTTIME", iface_("Preview: exact when you stop"), speed)


class EFFIGY_PT_shot(FacePanel):
    bl_label = "In the Shot"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, face_in(context)
        face, shown = face_of(proxy), carrier_of(proxy)
        layout.row(align=True).prop(face, "matte", expand=True)
        grid = layout.grid_flow(columns=2, align=True)
        grid.prop(face, "relief")
        if shown is not None:
            grid.prop(shown, "visible_shadow", text="Casts Shadow")
            grid.prop(shown, "visible_diffuse", text="Lights")
            grid.prop(shown, "visible_glossy", text="Reflected")


class EFFIGY_PT_identity(FacePanel):
    bl_label = "Identity"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, face_in(context)
        face = face_of(proxy)
        row = layout.row(align=True)
        if face.seed >= 0:
            row.label(text=iface_("Number {}", face.seed))
        else:
            row.label(text="A mixture, or from a file")
        row.prop(face, "locked", text="", icon="LOCKED" if face.locked else "UNLOCKED")
        layout.label(text=earlier_model(proxy) or face.model_name, translate=False)
        layout.operator("effigy.use_new_default", icon="FORWARD")
        column = layout.column(align=True)
        column.prop(face, "wanted_seed")
        column.prop(face, "truncation", slider=True)
        column.operator("effigy.change_identity", text="Change", icon="FILE_REFRESH")
        column.operator("effigy.random_identity", text="Random", icon="QUESTION")
        layout.operator("effigy.mix_identities", text="Mix with Another Face", icon="ARROW_LEFTRIGHT")
        layout.operator("effigy.identity_from_photo", text="From Photo", icon="IMAGE_DATA")
        row = layout.row(align=True)
        row.operator("effigy.save_identity", text="Save", icon="EXPORT")
        row.operator("effigy.load_identity", text="Load", icon="IMPORT")


class EFFIGY_PT_pose(FacePanel):
    bl_label = "Pose and Expression"
    bl_parent_id = "EFFIGY_PT_face"

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, face_in(context)
        row = layout.row(align=True)
        row.label(text=_seen_by(proxy, scene_of(context)), icon="HIDE_OFF", translate=False)
        row.operator("effigy.follow_view", depress=viewpoint.is_on)
        layout.operator("effigy.use_grab", text="Grab Points of the Face", icon="VIEW_PAN")
        column = layout.column(align=True)
        for block in blocks_of(proxy):
            column.prop(block, "value", text=block.name, slider=True, translate=False)
        grid = layout.grid_flow(columns=2, align=True)
        grid.operator("effigy.neutral", icon="LOOP_BACK")
        grid.operator("effigy.randomise", icon="QUESTION")
        grid.operator("effigy.mirror", icon="MOD_MIRROR")
        grid.operator("effigy.key_all", icon="KEY_HLT")
        grid.operator("effigy.reset_pose", icon="ORIENTATION_LOCAL")
        grid.operator("effigy.face_camera", icon="CAMERA_DATA")


def _seen_by(proxy: bpy.types.Object, scene: bpy.types.Scene) -> str:
    """What counts: the viewport, or which camera."""
    if viewpoint.counts:
        return iface_("The viewport")
    camera = camera_of(proxy, scene)
    return camera.name if camera is not None else iface_("No camera")


class EFFIGY_PT_library(FacePanel):
    bl_label = "Library"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("effigy.store_expression", icon="ADD")
        if library.names():
            manager = context.window_manager
            layout.template_icon_view(manager, "effigy_expression", show_labels=True, scale=4.0)
            if chosen := manager.effigy_expression:  # none is, when another Blender has removed it
                row = layout.row(align=True)
                apply = row.operator(
                    "effigy.apply_expression", text=iface_("Apply {}", chosen), translate=False, icon="CHECKMARK"
                )
                apply.name = chosen
                row.operator("effigy.remove_expression", text="", icon="TRASH").name = chosen


class EFFIGY_PT_animation(FacePanel):
    bl_label = "Animation"
    bl_parent_id = "EFFIGY_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, scene_of(context).tool_settings
        layout.prop(settings, "use_keyframe_insert_auto", text="Auto Keying", icon="RECORD_OFF")
        layout.operator("effigy.cache", icon="MEMORY")
        draw_told(layout, _cached(run_of(face_in(context))))


def _cached(run: FaceRun) -> Told:
    """Whether the current frame's picture is in memory, and how many are."""
    text = iface_("{} exact pictures in memory, {} MiB", len(runs.memory), runs.memory.size >> 20)
    if run.cached.state == "stale":
        return Told("ERROR", iface_("Stale: cached with {}", differing(run.cached.differs)), text)
    if run.cached.state == "fresh":
        return Told("CHECKMARK", iface_("This frame is in memory"), text)
    return Told("BLANK1", iface_("This frame is not cached"), text)


class EFFIGY_PT_render(FacePanel):
    bl_label = "Render"
    bl_parent_id = "EFFIGY_PT_face"

    def draw(self, context: bpy.types.Context) -> None:
        layout, proxy = self.layout, face_in(context)
        face, view = face_of(proxy), scene_of(context).view_settings
        layout.operator("effigy.exact_view", icon="IMAGE_RGB")
        layout.operator("effigy.preflight", icon="VIEWZOOM")
        layout.row(align=True).prop(face, "bake_depth", expand=True)
        row = layout.row(align=True)
        row.operator("effigy.bake", icon="RENDER_ANIMATION")
        row.operator("effigy.show_live", icon="RECOVER_LAST")
        # Words stand below all buttons, which they would move when they come.
        if not bpy.data.filepath:
            write(layout, iface_("Bake writes beside the .blend: save it first."), "INFO")
        if view.view_transform != STANDARD:
            text = iface_("The view transform {} changes the face's contrast.", view.view_transform)
            write(layout, text, "INFO")


class EFFIGY_PT_messages(SidePanel):
    """What does not fit into the rows that a state has, in full: last, so that nothing moves when it comes."""

    bl_label = "In Full"
    bl_order = 1000

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(_cut(context))

    def draw(self, context: bpy.types.Context) -> None:
        for told in _cut(context):
            write(self.layout, f"{told.word}: {told.text}", told.icon)


def _cut(context: bpy.types.Context) -> list[Told]:
    """The states whose texts are cut."""
    proxy = active_face(context) if context.scene is not None else None
    every = [_backend(), *([_picture(proxy)] if proxy is not None else [])]
    return [told for told in every if is_cut(told)]


def _add_menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.operator("effigy.add_face", text="Effigy Face", icon="MESH_MONKEY")


class EFFIGY_MT_object(bpy.types.Menu):
    """All buttons of the panel, so that the keyboard and the menu search find them."""

    bl_idname = "EFFIGY_MT_object"
    bl_label = "Effigy"

    def draw(self, context: bpy.types.Context) -> None:
        for group in _MENU:
            for name in group:
                self.layout.operator(f"effigy.{name}")
            self.layout.separator()


_MENU = (
    ("connect", "disconnect"),
    ("add_face", "remove_face", "use_grab", "follow_view"),
    ("neutral", "mirror", "randomise", "reset_pose", "face_camera", "key_all"),
    (
        "change_identity",
        "random_identity",
        "use_new_default",
        "mix_identities",
        "identity_from_photo",
        "save_identity",
        "load_identity",
    ),
    (
        "store_expression",
        "pose_from_picture",
        "import_film",
        "import_arkit",
        "import_landmarks",
        "live_capture",
        "stop_capture",
    ),
    ("cache", "bake", "show_live", "preflight", "exact_view"),
)


def _object_menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.menu(EFFIGY_MT_object.bl_idname, icon="MESH_MONKEY")


_CLASSES = (
    EFFIGY_MT_object,
    EFFIGY_PT_backend,
    EFFIGY_PT_face,
    EFFIGY_PT_shot,
    EFFIGY_PT_identity,
    EFFIGY_PT_pose,
    EFFIGY_PT_library,
    EFFIGY_PT_capture,
    EFFIGY_PT_animation,
    EFFIGY_PT_render,
    EFFIGY_PT_messages,
)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.VIEW3D_MT_mesh_add.append(_add_menu)
    bpy.types.VIEW3D_MT_object.append(_object_menu)


def unregister() -> None:
    bpy.types.VIEW3D_MT_object.remove(_object_menu)
    bpy.types.VIEW3D_MT_mesh_add.remove(_add_menu)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
