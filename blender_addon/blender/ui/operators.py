# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons: connect, add a face, set the exact view."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

import bpy
from bpy.props import FloatProperty, IntProperty

from effigy_client.provision import BackendError
from effigy_protocol.messages import Identity, OpenIdentity

from ..pictures.activity import changes
from ..pictures.runs import runs
from ..pictures.session import session
from ..preferences import PreferencesError
from ..scene import controls, display, frames, framing, placing, rig
from ..scene.obstacles import hiding
from ..scene.properties import face_of
from ..scene.queries import face_in, faces, name_of, scene_of
from ..scene.reader import UnreadableError, read_face
from ..translation import rpt_
from .identity import LAST_SEED, SEEDS, OpeningOperator
from .operator import FaceOperator, can_ask, in_object_mode

_VIEW = "Standard"  # which changes no colours


class EFFIGY_OT_connect(bpy.types.Operator):
    bl_idname = "effigy.connect"
    bl_label = "Start Backend"
    bl_description = "Start the backend, or connect to a running one, as the add-on's preferences say"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.link is not None:
            cls.poll_message_set("There is a connection already, or one that was lost: press Stop first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session.try_to_connect()
        except (BackendError, PreferencesError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class EFFIGY_OT_disconnect(bpy.types.Operator):
    bl_idname = "effigy.disconnect"
    bl_label = "Stop"
    bl_description = "Close the connection, and stop the backend if this Blender started it"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.link is None:
            cls.poll_message_set("Nothing is connected")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.disconnect()
        return {"FINISHED"}


class EFFIGY_OT_add_face(OpeningOperator):
    bl_idname = "effigy.add_face"
    bl_label = "Add Face"
    bl_description = (
        "Add somebody new at the 3D cursor: proxy mesh with expression sliders, camera and picture plate. "
        "Another number for the same face can be given afterwards, at the lower left"
    )

    seed: IntProperty(name="Seed", description="The number of the identity", default=0, min=0)
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
            return OpenIdentity(seed=self.seed, truncation=self.truncation)
        # Somebody new each time.
        following = max((face_of(proxy).seed + 1 for proxy in faces(scene_of(context))), default=0)
        return OpenIdentity(seed=min(following, LAST_SEED - SEEDS), truncation=self.truncation, seeds=SEEDS)

    def opened(self, context: bpy.types.Context, identity: Identity) -> None:
        welcome = session.welcome
        assert welcome is not None
        assert identity.seed is not None
        self.seed = identity.seed  # for a redo
        proxy = rig.add_face(context, welcome, identity, self.seed)
        face_of(proxy).truncation = self.truncation
        for obj in context.selected_objects:
            obj.select_set(False)
        proxy.select_set(True)
        context.view_layer.objects.active = proxy
        space = context.space_data
        if isinstance(space, bpy.types.SpaceView3D) and space.shading.type == "SOLID":
            # So that a solid viewport shows the picture, and in its own colours.
            space.shading.color_type, space.shading.light = "TEXTURE", "FLAT"
        changes.mark()
        scene = scene_of(context)
        if scene.camera is not None and not placing.is_seen(scene, proxy):
            text = rpt_("{} stands outside the view of {}: move it, or the camera", proxy.name, scene.camera.name)
            self._warn(context, text)
        if before := hiding(context, proxy, face_of(proxy).camera):
            text = rpt_("{} stands in front of the face: move it away, or hide it", ", ".join(before))
            self._warn(context, text)

    def _warn(self, context: bpy.types.Context, text: str) -> None:
        """Says it where the mouse is, too: in the status bar it is gone before a face that is not seen is missed."""
        self.report({"WARNING"}, text)
        if not (bpy.app.background or self.options.is_repeat):
            context.window_manager.popup_menu(partial(_draw_text, text), title=self.bl_label, icon="ERROR")


def _draw_text(text: str, menu: Any, context: bpy.types.Context) -> None:
    menu.layout.label(text=text, translate=False)


class EFFIGY_OT_remove_face(FaceOperator):
    bl_idname = "effigy.remove_face"
    bl_label = "Remove Face"
    bl_description = "Take away the whole rig of this face: proxy, plate and its camera. Baked files are kept"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return in_object_mode(cls, context) and super().poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy = face_in(context)
        runs.drop([name_of(proxy)])  # the next face of that name is another
        rig.remove_face(proxy)
        return {"FINISHED"}


class EFFIGY_OT_exact_view(FaceOperator):
    bl_idname = "effigy.exact_view"
    bl_label = "Exact Pixels"
    bl_description = (
        "Set this scene so that a render shows the face's own pixels: its camera, filled by the plate, its resolution, "
        "the Standard view (AgX changes contrast), no dithering, and no filter or motion or focus that blurs pixels"
    )
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy, scene = face_in(context), scene_of(context)
        face = face_of(proxy)
        if controls.camera_of(proxy, scene) is None:
            self.report({"ERROR"}, "There is no camera: add one, or choose one in the scene's properties")
            return {"CANCELLED"}
        tears = False
        if face.camera is not None and face.camera.type == "CAMERA":
            scene.camera = face.camera
            face.camera.data.dof.use_dof = False
            tears = self._frame(proxy, face.camera, context)
        if face.image is not None:
            scene.render.resolution_x, scene.render.resolution_y = face.image.size
        for node in display.picture_nodes(proxy):
            node.interpolation = "Linear" if tears else "Closest"
        scene.render.resolution_percentage = 100
        scene.render.pixel_aspect_x = scene.render.pixel_aspect_y = 1.0
        scene.render.dither_intensity = 0.0
        scene.render.filter_size = 0.0
        scene.render.use_motion_blur = False
        try:
            scene.display_settings.display_device = "sRGB"
            scene.view_settings.view_transform, scene.view_settings.look = _VIEW, "None"
        except TypeError:  # a colour configuration of the studio's own
            text = "This colour configuration has no Standard view: choose the one that shows textures as they are"
            self.report({"WARNING"}, text)
        scene.view_settings.exposure, scene.view_settings.gamma = 0.0, 1.0
        scene.view_settings.use_curve_mapping = False
        if bpy.app.version >= (4, 3, 0):
            scene.view_settings.use_white_balance = False
        scene.render.image_settings.color_management = "FOLLOW_SCENE"
        scene.render.use_border = False
        shading = scene.display.shading  # Workbench
        shading.light, shading.color_type = "FLAT", "TEXTURE"
        scene.display.render_aa = "OFF"
        if hasattr(scene, "cycles"):
            scene.cycles.pixel_filter_type = "BLACKMAN_HARRIS"  # a box is a pixel wide, whatever its width says
            scene.cycles.filter_width = 0.01
            scene.cycles.use_denoising = False
        return {"FINISHED"}

    def _frame(self, proxy: bpy.types.Object, camera: bpy.types.Object, context: bpy.types.Context) -> bool:
        """Fills the camera's picture with the plate; whether its pixels tear there."""
        context.view_layer.update()  # the camera may have become the scene's just now
        try:
            plate = read_face(proxy, scene_of(context), context.evaluated_depsgraph_get()).plate
        except UnreadableError as error:
            self.report({"WARNING"}, str(error))
            return False
        framing.fill_frame(camera, plate)
        rolls = [framing.roll_of(camera, plate), *self._later_rolls(proxy, camera, scene_of(context))]
        roll = max(rolls, key=abs)
        tears = framing.tears(roll, face_of(proxy).image)
        if tears:
            text = rpt_("The head is rolled, by {:.1f}° at most: its picture is drawn smoothly, not by pixels, "
                        "and what is behind shows at its corners", roll)  # fmt: skip
            self.report({"WARNING"}, text)
        return tears

    def _later_rolls(self, proxy: bpy.types.Object, camera: bpy.types.Object, scene: bpy.types.Scene) -> list[float]:
        """By how many degrees the picture is rolled in the scene's frames, if anything moves there."""
        if not any(obj.animation_data or obj.parent or obj.constraints for obj in (proxy, camera)):
            return []
        rolls = []
        for _ in frames.visit(scene):
            with contextlib.suppress(UnreadableError):
                plate = read_face(proxy, scene, bpy.context.evaluated_depsgraph_get()).plate
                rolls.append(framing.roll_of(camera, plate))
        return rolls


_CLASSES = (EFFIGY_OT_connect, EFFIGY_OT_disconnect, EFFIGY_OT_add_face, EFFIGY_OT_remove_face, EFFIGY_OT_exact_view)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
