# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that add a face and take one away."""

from __future__ import annotations

from functools import partial
from typing import Any

import bpy
from bpy.props import FloatProperty, IntProperty, StringProperty

from effigy_protocol.messages import FromSeed, Identity, OpenIdentity, Welcome

from .. import preferences
from ..pictures.activity import changes
from ..pictures.runs import runs
from ..scene import placing, rig, viewing
from ..scene.obstacles import hiding
from ..scene.properties import face_of
from ..scene.queries import face_in, faces, name_of, scene_of
from ..translation import iface_, rpt_
from .identity import LAST_SEED, SEEDS
from .opening import OpeningOperator
from .operator import FaceOperator, can_ask, in_object_mode


class EFFIGY_OT_add_face(OpeningOperator):
    bl_idname = "effigy.add_face"
    bl_label = "Add Face"
    bl_description = (
        "Add a new person at the 3D cursor: proxy mesh with expression sliders, camera and picture plate. The seed "
        "can be changed afterwards, at the lower left"
    )

    seed: IntProperty(name="Seed", description="The seed of the identity", default=0, min=0)
    truncation: FloatProperty(
        name="Truncation",
        description="0 is the average face, 1 the full variety",
        default=0.7,
        min=0.0,
        max=1.5,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return in_object_mode(cls, context) and can_ask(cls)

    def request(self, context: bpy.types.Context) -> OpenIdentity:
        if self.properties.is_property_set("seed"):
            return OpenIdentity(FromSeed(self.seed, truncation=self.truncation))
        # Somebody new each time.
        following = max((face_of(proxy).seed + 1 for proxy in faces(scene_of(context))), default=0)
        return OpenIdentity(FromSeed(min(following, LAST_SEED - SEEDS), truncation=self.truncation, seeds=SEEDS))

    def opened(self, context: bpy.types.Context, welcome: Welcome, identity: Identity) -> None:
        if identity.seed is not None:
            self.seed = identity.seed  # for a redo
        chosen = preferences.get()
        proxy = rig.add_face(
            context, welcome, identity, self.seed, chosen.head_height, chosen.matte, sharpen=chosen.sharpen
        )
        face_of(proxy).truncation = self.truncation
        for obj in context.selected_objects:
            obj.select_set(False)
        proxy.select_set(True)
        context.view_layer.objects.active = proxy
        space = context.space_data
        if isinstance(space, bpy.types.SpaceView3D) and space.shading.type == "SOLID":
            # So that a solid viewport shows the picture, and in its own colours.
            space.shading.color_type, space.shading.light = "TEXTURE", "FLAT"
        if isinstance(space, bpy.types.SpaceView3D) and context.area is not None:
            # The button may stand in the sidebar, a region of its own.
            region = next(region for region in context.area.regions if region.type == "WINDOW")
            viewing.frame(space, region, proxy, scene_of(context).camera or face_of(proxy).camera)
        changes.mark()
        self._warn(context, proxy)

    def _warn(self, context: bpy.types.Context, proxy: bpy.types.Object) -> None:
        """Says what keeps a new face from being seen: where the mouse is, too, since the status bar is soon cleared."""
        scene, texts = scene_of(context), []
        if scene.camera is not None and not placing.is_seen(scene, proxy):
            texts.append(
                rpt_("{} stands outside the view of {}: move it, or the camera", proxy.name, scene.camera.name)
            )
        if before := hiding(context, proxy, face_of(proxy).camera):
            texts.append(rpt_("{} stands in front of the face: move it away, or hide it", ", ".join(before)))
        for text in texts:
            self.report({"WARNING"}, text)
        if texts and not (bpy.app.background or self.options.is_repeat):
            draw = partial(_draw_warnings, texts, before)
            context.window_manager.popup_menu(draw, title=self.bl_label, icon="ERROR")


def _draw_warnings(texts: list[str], before: list[str], menu: Any, context: bpy.types.Context) -> None:
    """Draws what is wrong, and a button for each object that stands ``before`` the face, which hides it."""
    for text in texts:
        menu.layout.label(text=text, translate=False)
    for name in before:
        hide = menu.layout.operator("effigy.hide", text=iface_("Hide {}", name), translate=False, icon="HIDE_ON")
        hide.name = name


class EFFIGY_OT_hide(bpy.types.Operator):
    bl_idname = "effigy.hide"
    bl_label = "Hide"
    bl_description = "Hide this object in the viewport and in renders, so that the face is seen"
    bl_options = {"INTERNAL", "UNDO"}

    name: StringProperty(name="Name")

    def execute(self, context: bpy.types.Context) -> set[str]:
        obj = scene_of(context).objects.get(self.name)
        if obj is None:
            return {"CANCELLED"}
        obj.hide_render = True
        obj.hide_set(True)
        return {"FINISHED"}


class EFFIGY_OT_remove_face(FaceOperator):
    bl_idname = "effigy.remove_face"
    bl_label = "Remove Face"
    bl_description = "Remove the whole rig of this face: proxy, plate and its camera. Baked files are kept"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return in_object_mode(cls, context) and super().poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy = face_in(context)
        runs.drop([name_of(proxy)])  # the next face of that name is another
        rig.remove_face(proxy)
        return {"FINISHED"}


_CLASSES = (EFFIGY_OT_hide, EFFIGY_OT_add_face, EFFIGY_OT_remove_face)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
