# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake every face of a file: for farms, and for ``effigy bake``, which runs Blender without a window."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import preferences
from ..pictures.activity import activity
from ..pictures.bake import FAILURES, Bake, reason
from ..pictures.session import session
from ..scene.properties import face_of
from ..scene.queries import faces
from ..translation import rpt_
from .operator import is_idle, is_saved
from .ranges import complete


class EFFIGY_OT_bake_all(bpy.types.Operator):
    bl_idname = "effigy.bake_all"
    bl_label = "Bake All Faces"
    bl_description = (
        "Bake the faces of every scene in this file, one after the other, and wait for them: for scripts and for "
        "Blender without a window"
    )

    command: StringProperty(
        name="Command",
        description="The backend's command for this run, instead of the one in the preferences",
        options={"SKIP_SAVE"},
    )
    model: StringProperty(
        name="Model",
        description="The faces' bundle for this run, instead of the one in the preferences",
        options={"SKIP_SAVE"},
    )
    matte: StringProperty(
        name="Matte",
        description="The matte of all faces from now on: none or head. Empty: each face's own",
        options={"SKIP_SAVE"},
    )
    save: BoolProperty(
        name="Save",
        description="Save the .blend, which then shows the pictures",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_saved(cls) and is_idle(cls)

    def execute(self, context: bpy.types.Context) -> set[str]:
        wanted = [
            (scene, proxy) for scene in bpy.data.scenes for proxy in faces(scene) if proxy.library is None
        ]  # a linked face is baked in its own file
        if not wanted:
            self.report({"ERROR"}, rpt_("{} holds no face of its own", bpy.path.basename(bpy.data.filepath)))
            return {"CANCELLED"}
        if self.matte not in ("", "none", "head"):
            self.report({"ERROR"}, rpt_("There is no matte {}: choose none or head", self.matte))
            return {"CANCELLED"}
        before = _chosen()
        try:
            self._choose()
            session.ensure_ready()
            with activity.range():
                for scene, proxy in wanted:
                    self._bake(context, scene, proxy)
        except FAILURES as error:
            self.report({"ERROR"}, rpt_("Bake stopped: {}", reason(error)))
            return {"CANCELLED"}
        finally:
            _restore(before)
        if self.save:
            bpy.ops.wm.save_mainfile()
        return {"FINISHED"}

    def _choose(self) -> None:
        """Sets the preferences for this run, without saving them; ``_restore`` puts the earlier ones back."""
        chosen = preferences.get()
        if self.command and chosen.source == "LOCAL":
            chosen.command = self.command
        if self.model:
            chosen.model = self.model

    def _bake(self, context: bpy.types.Context, scene: bpy.types.Scene, proxy: bpy.types.Object) -> None:
        name, matte = proxy.name, self.matte.upper()
        if matte and face_of(proxy).matte != matte:
            face_of(proxy).matte = matte
        if context.window is not None:
            context.window.scene = scene
        with context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
            bake = Bake(proxy, scene)
            complete(bake)
        kept = bake.walk.total - bake.painted
        # 'effigy bake' finds these lines among Blender's own.
        print(f"effigy: {name}: {bake.painted} frames painted, {kept} kept, in {bake.folder}", flush=True)


def _chosen() -> tuple[str, str]:
    chosen = preferences.get()
    return chosen.command, chosen.model


def _restore(before: tuple[str, str]) -> None:
    chosen = preferences.get()
    chosen.command, chosen.model = before


_CLASSES = (EFFIGY_OT_bake_all,)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
